import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request, type RequestOptions } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Hono } from 'hono'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { serve } from './serve.ts'
import { createAuthority, issueCertificate } from './tls.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wherry-tls-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

function get(url: string, options: RequestOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(url, { agent: false, ...options }, (response) => {
      response.setEncoding('utf8')
      let text = ''
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () => resolve(text))
      response.on('error', reject)
    })
    call.on('error', reject)
    call.end()
  })
}

describe('createAuthority', () => {
  it('keeps the authority across starts, its key readable by the owner only', async () => {
    const first = await createAuthority(dir)
    expect(await createAuthority(dir)).toEqual(first)
    expect(statSync(join(dir, 'ca.key')).mode & 0o777).toBe(0o600)
  })

  it('makes a new one when what is kept is broken or about to end', async () => {
    const first = await createAuthority(dir)
    writeFileSync(join(dir, 'ca.key'), 'nonsense')
    const second = await createAuthority(dir)
    expect(second.certificatePem).not.toBe(first.certificatePem)
    const inTenYears = Date.now() + 3650 * 86_400_000
    expect((await createAuthority(dir, inTenYears)).certificatePem).not.toBe(second.certificatePem)
  })
})

describe('serve', () => {
  it('is trusted by who trusts the authority, for the hosts it was issued for', async () => {
    const authority = await createAuthority(dir)
    const certificate = await issueCertificate(authority, ['127.0.0.1', 'localhost'])
    const app = new Hono().get('/', (c) => c.text('hello'))
    const server = await serve(app, { host: '127.0.0.1', port: 0, certificate })
    try {
      const ca = authority.certificatePem
      expect(server.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
      expect(await get(server.url, { ca })).toBe('hello')
      expect(await get(server.url, { ca, servername: 'localhost' })).toBe('hello')
      await expect(get(server.url, {})).rejects.toThrow(/certificate|self.signed/i)
      await expect(get(server.url, { ca, servername: 'elsewhere' })).rejects.toThrow(/altnames/)
    } finally {
      await server.close()
    }
  })

  it('ends although a client still reads', async () => {
    const app = new Hono().get('/', () => new Response(new ReadableStream()))
    const server = await serve(app, { host: '127.0.0.1', port: 0 })
    const response = await fetch(server.url)
    await server.close()
    await expect(response.text()).rejects.toThrow()
  })

  it('says when the port is taken', async () => {
    const app = new Hono()
    const server = await serve(app, { host: '127.0.0.1', port: 0 })
    await expect(serve(app, { host: '127.0.0.1', port: server.port })).rejects.toThrow('EADDRINUSE')
    await server.close()
  })
})
