import { createServer, type Server } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Pod, PodSpec } from '#shared/api/pod.ts'
import { createTestApi, NODE, seededMeta, type TestApi } from '#test/api.ts'

let api: TestApi
let agent: Server
let requests: { url: string; authorization: string | undefined }[]
let respond: (url: string) => { status: number; text: string }

beforeEach(async () => {
  requests = []
  respond = () => ({ status: 200, text: 'hello\n' })
  agent = createServer((request, response) => {
    requests.push({ url: request.url ?? '', authorization: request.headers.authorization })
    const { status, text } = respond(request.url ?? '')
    response.writeHead(status).end(text)
  })
  await new Promise<void>((resolve) => agent.listen(0, '127.0.0.1', resolve))
  const address = agent.address()
  const port = typeof address === 'object' ? address?.port : undefined
  api = await createTestApi({
    agentEndpoint: async (cluster, node) =>
      node === NODE ? { url: `http://127.0.0.1:${port}`, token: `${cluster}-secret` } : undefined,
  })
})
afterEach(async () => {
  await api.close()
  await new Promise((resolve) => agent.close(resolve))
})

async function seed(name: string, spec: Partial<PodSpec>): Promise<void> {
  const object: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: seededMeta(name, 'default'),
    spec: { nodeName: NODE, containers: [{ name: 'a' }], ...spec },
  }
  await api.seed(['pods', object])
}

const log = (name: string, query = '') =>
  api.call('GET', `/api/v1/namespaces/default/pods/${name}/log${query}`)

describe('logs', () => {
  it('come from the agent of the node', async () => {
    await seed('p', {})
    const { status, text, headers } = await log('p', '?tailLines=5&timestamps=true&pretty=true')
    expect([status, text, headers.get('content-type')]).toEqual([200, 'hello\n', 'text/plain'])
    expect(requests).toEqual([
      {
        url: '/containerLogs/default/p/a?timestamps=true&tailLines=5',
        authorization: 'Bearer test-secret',
      },
    ])
  })

  it.each<[string, Partial<PodSpec>, string, string]>([
    [
      'several containers',
      { containers: [{ name: 'a' }, { name: 'b' }] },
      '',
      'a container name must be specified for pod p, choose one of: [a b]',
    ],
    [
      'init containers',
      { containers: [{ name: 'a' }], initContainers: [{ name: 'i' }] },
      '',
      'a container name must be specified for pod p, choose one of: [a] or one of the init containers: [i]',
    ],
    ['a container that is not there', {}, '?container=z', 'container z is not valid for pod p'],
    [
      'a number that is none',
      {},
      '?tailLines=x',
      'tailLines: Invalid value: "x": must be a number',
    ],
  ])('are refused for %s', async (_, spec, query, message) => {
    await seed('p', spec)
    const { status, body } = await log('p', query)
    expect([status, body['message']]).toEqual([400, message])
  })

  it('say in the agent’s words what is not there', async () => {
    await seed('p', {})
    respond = () => ({
      status: 400,
      text: 'previous terminated container "a" in pod "p" not found\n',
    })
    const { status, body } = await log('p', '?previous=true')
    expect([status, body['message']]).toEqual([
      400,
      'previous terminated container "a" in pod "p" not found',
    ])
  })

  it('are empty before there is a node, and unavailable when the node is away', async () => {
    await seed('waiting', { nodeName: '' })
    expect(await log('waiting')).toMatchObject({ status: 200, text: '' })
    await seed('lost', { nodeName: 'vm-2' })
    const { status, body } = await log('lost')
    expect([status, body['message']]).toEqual([
      503,
      'the agent of node "vm-2" cannot be asked: its agent is not known',
    ])
    expect((await log('none')).body['message']).toBe('pods "none" not found')
  })
})
