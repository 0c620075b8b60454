import { createServer, type IncomingMessage, type Server } from 'node:http'
import { createConnection } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { serve, type RunningServer } from '#emulator/serve.ts'
import type { Pod } from '#shared/api/pod.ts'
import {
  ADMIN_TOKEN,
  createTestApi,
  NODE,
  NODE_TOKEN,
  seededMeta,
  type TestApi,
} from '#test/api.ts'
import { createUpgrade } from './exec-upgrade.ts'

let api: TestApi
let server: RunningServer
let agent: Server
let requests: IncomingMessage[]

beforeEach(async () => {
  requests = []
  const sockets = new WebSocketServer({
    noServer: true,
    handleProtocols: () => 'v5.channel.k8s.io',
  })
  agent = createServer((_, response) => response.writeHead(400).end('it refuses'))
  agent.on('upgrade', (request, socket, head) => {
    requests.push(request)
    if (request.headers.upgrade === 'SPDY/3.1') {
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: SPDY/3.1\r\n\r\nhi ',
      )
      socket.on('data', (chunk) => socket.write(chunk))
      socket.on('end', () => socket.end('bye'))
      return
    }
    if (request.url?.includes('refused')) {
      socket.end('HTTP/1.1 400 Refused\r\ncontent-length: 11\r\n\r\nit refuses\n')
      return
    }
    sockets.handleUpgrade(request, socket, head, (client) => {
      client.send('hello')
      client.on('message', (data: Buffer) => client.send(`echo ${data.toString()}`))
    })
  })
  await new Promise<void>((resolve) => agent.listen(0, '127.0.0.1', resolve))
  const address = agent.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const agentEndpoint = async (): Promise<{ url: string; token: string }> => ({
    url: `http://127.0.0.1:${port}`,
    token: 'agent-secret',
  })
  api = await createTestApi({ agentEndpoint })
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: seededMeta('p', 'default'),
    spec: { nodeName: NODE, containers: [{ name: 'a' }] },
  }
  await api.seed(['pods', pod])
  server = await serve(api.app, {
    host: '127.0.0.1',
    port: 0,
    onUpgrade: createUpgrade(api.deps),
  })
})
afterEach(async () => {
  await server.close()
  agent.closeAllConnections()
  await new Promise((resolve) => agent.close(resolve))
  await api.close()
})

function connect(path: string, token = ADMIN_TOKEN): WebSocket {
  return new WebSocket(`${server.url.replace('http', 'ws')}${path}`, ['v5.channel.k8s.io'], {
    headers: { authorization: `Bearer ${token}` },
  })
}

const PATH = '/api/v1/namespaces/default/pods'

function refusal(path: string, token?: string): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const client = connect(path, token)
    client.on('open', () => reject(new Error('it was accepted')))
    client.on('unexpected-response', (_, response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () => {
        const { message } = JSON.parse(text) as { message: string }
        resolve([response.statusCode ?? 0, message])
      })
    })
  })
}

describe('exec, attach and port-forward', () => {
  it('joins the client with the agent of the node', async () => {
    const client = connect(`${PATH}/p/exec?command=ls&command=-l&stdout=true`)
    const received: string[] = []
    client.on('message', (data: Buffer) => received.push(data.toString()))
    await new Promise((resolve) => client.once('open', resolve))
    client.send('there')
    await expect.poll(() => received).toEqual(['hello', 'echo there'])
    expect(client.protocol).toBe('v5.channel.k8s.io')
    expect(requests[0]?.url).toBe('/exec/default/p/a?command=ls&command=-l&stdout=true')
    expect(requests[0]?.headers.authorization).toBe('Bearer agent-secret')
    const closed = new Promise((resolve) => client.once('close', resolve))
    client.close()
    await closed
  })

  it.each([
    ['attach?stdin=true', '/attach/default/p/a?stdin=true'],
    ['exec?container=a', '/exec/default/p/a?container=a'],
    ['portforward', '/portForward/default/p'],
  ])('%s is asked of the agent as %s', async (path, asked) => {
    const client = connect(`${PATH}/p/${path}`)
    await new Promise((resolve) => client.once('open', resolve))
    client.terminate()
    expect(requests[0]?.url).toBe(asked)
  })

  it('hands SPDY on too, each direction to its own end', async () => {
    const { port } = new URL(server.url)
    const client = createConnection({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true })
    client.write(
      `POST ${PATH}/p/portforward HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${ADMIN_TOKEN}\r\n` +
        'connection: Upgrade\r\nupgrade: SPDY/3.1\r\ncontent-length: 0\r\n' +
        'x-stream-protocol-version: portforward.k8s.io\r\n\r\n',
    )
    let received = ''
    client.on('data', (chunk) => (received += String(chunk)))
    await expect.poll(() => received).toContain('hi ')
    const sent = 'x'.repeat(1_000_000)
    client.end(sent)
    await new Promise((resolve) => client.once('close', resolve))
    expect(received).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/)
    expect(received.endsWith(`hi ${sent}bye`)).toBe(true)
    expect(requests[0]).toMatchObject({
      method: 'POST',
      headers: { 'x-stream-protocol-version': 'portforward.k8s.io' },
    })
  })

  it.each(['exec', 'attach', 'portforward'])('%s: a node identity is refused', async (what) => {
    const [status, message] = await refusal(`${PATH}/p/${what}`, NODE_TOKEN)
    expect(status).toBe(403)
    expect(message).toContain(`cannot create resource "pods/${what}" in API group ""`)
    expect(requests).toEqual([])
  })

  it.each<[string, string | undefined, number, string]>([
    [`${PATH}/p/exec`, 'wrong', 401, 'Unauthorized'],
    [
      `${PATH}/p/exec`,
      NODE_TOKEN,
      403,
      `pods "p" is forbidden: User "system:node:${NODE}" cannot create resource "pods/exec" in API group "" in the namespace "default"`,
    ],
    [`${PATH}/none/exec`, undefined, 404, 'pods "none" not found'],
    [`${PATH}/p/exec?container=z`, undefined, 400, 'container z is not valid for pod p'],
    [`${PATH}/p/exec?command=refused`, undefined, 400, 'it refuses'],
    [`${PATH}/p/log`, undefined, 400, 'log is not available over websocket'],
    [`${PATH}/p`, undefined, 400, 'pods is not available over websocket'],
    ['/version', undefined, 404, 'the server could not find the requested resource'],
  ])('%s as %s is refused', async (path, token, status, message) => {
    expect(await refusal(path, token)).toEqual([status, message])
  })
})
