import type { Server } from 'node:http'
import { http } from '@google-cloud/functions-framework'
import { getTestServer } from '@google-cloud/functions-framework/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ADMIN_TOKEN, createTestApi, type TestApi } from '#test/api.ts'
import { readWatch } from '#test/watch-reader.ts'
import { createHandler } from './handler.ts'

let api: TestApi
let server: Server
let url: string
beforeAll(async () => {
  api = await createTestApi()
  http('api-test', createHandler(api.app))
  server = getTestServer('api-test')
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
})
afterAll(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await api.close()
})

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'
const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }

describe('behind functions-framework', () => {
  it.each([
    ['application/json', '{"metadata":{"name":"json"}}'],
    ['application/yaml', 'metadata:\n  name: yaml\n'],
  ])('bodies of %s arrive as they were sent', async (type, body) => {
    const response = await fetch(`${url}${CONFIG_MAPS}`, {
      method: 'POST',
      headers: { ...headers, 'content-type': type },
      body,
    })
    expect(response.status).toBe(201)
  })

  it('patches and deletes with a body work', async () => {
    const patched = await fetch(`${url}${CONFIG_MAPS}/json`, {
      method: 'PATCH',
      headers: { ...headers, 'content-type': 'application/merge-patch+json' },
      body: '{"data":{"a":"1"}}',
    })
    expect(await patched.json()).toMatchObject({ data: { a: '1' } })
    const deleted = await fetch(`${url}${CONFIG_MAPS}/json`, {
      method: 'DELETE',
      headers: { ...headers, 'content-type': 'application/json' },
      body: '{"propagationPolicy":"Foreground"}',
    })
    expect(await deleted.json()).toMatchObject({ metadata: { finalizers: ['foregroundDeletion'] } })
  })

  it('watches stream, and end with the client', async () => {
    const leaving = new AbortController()
    const response = await fetch(`${url}${CONFIG_MAPS}?watch=true&resourceVersion=0`, {
      headers,
      signal: leaving.signal,
    })
    const reader = readWatch(response)
    expect((await reader.next()).type).toBe('ADDED')
    leaving.abort()
    await expect(reader.rest()).rejects.toThrow()
  })
})
