// The agent's own HTTP server, at port 10250 of the VM's address as kubelet's:
//
//   GET /healthz                                  no token: what the cloud's health checker asks
//   GET /containerLogs/NAMESPACE/POD/CONTAINER    ?follow &previous &tailLines &sinceSeconds &sinceTime
//                                                 &timestamps &limitBytes &stream
//   GET /stats/summary                            memory and CPU of the running containers
//
// and as WebSocket or SPDY/3.1 (upgrades.ts):
//
//   /exec/NAMESPACE/POD/CONTAINER                 ?command=…&stdin=&stdout=&stderr=&tty=
//   /attach/NAMESPACE/POD/CONTAINER               ?stdin=&stdout=&stderr=&tty=
//   /portForward/NAMESPACE/POD
//
// All but /healthz need the bearer token that the api function has.

import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { NODE_SHUTDOWN_MESSAGE } from '#shared/api/node.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Address, Network } from '../network/network.ts'
import type { Pods } from '../pods/pods.ts'
import type { PodWorker } from '../pods/worker.ts'
import type { Runtime } from '../runtime/runtime.ts'
import { serveAttach } from './attach.ts'
import { serveExec } from './exec.ts'
import { HttpError } from './http-error.ts'
import { serveLogs } from './logs.ts'
import { dialAt, dialInNetwork } from './dial.ts'
import { summaryOf } from './summary.ts'
import { wantedBy } from './streams.ts'
import { createUpgrades } from './upgrades.ts'
import type { Upgrade, Upgrades } from './upgrades.ts'

export interface ServerOptions {
  token: string
  nodeName: string
  pods: Pods
  runtime: Runtime
  network: Network
  log: Log
  /** Port 0: a free one. */
  listen: Address
  /** The machine shuts down: load balancers are to forget it. */
  isDraining: () => boolean
  /** It knows the cluster's Services: before that a load balancer's requests would find nobody here. */
  isForwarding: () => boolean
}

export interface AgentServer {
  readonly address: Address
  close(): void
}

const HEALTH_MS = 2000

/** Resolves when it listens. */
export async function startServer(options: ServerOptions): Promise<AgentServer> {
  const server = createServer((request, response) => {
    answer(options, request, response).catch((error: unknown) => fail(options, response, error))
  })
  const upgrades = createUpgrades(options.log, options.runtime.isContained)
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy())
    try {
      upgrade(options, upgrades, { request, socket, head })
    } catch (error) {
      refuseUpgrade(socket, error)
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.listen.port, options.listen.host, resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    address: { ...options.listen, port },
    close() {
      upgrades.close()
      server.close()
      server.closeAllConnections()
    },
  }
}

const NOT_FORWARDING_MESSAGE = 'this node does not know the Services yet'

async function answer(
  options: ServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://agent')
  const [, what, ...rest] = url.pathname.split('/')
  if (request.method !== 'GET') throw new HttpError(405, 'method not allowed')
  if (what === 'healthz') {
    if (options.isDraining()) throw new HttpError(503, NODE_SHUTDOWN_MESSAGE)
    if (!options.isForwarding()) throw new HttpError(503, NOT_FORWARDING_MESSAGE)
    await checkHealth(options.runtime)
    response.end('ok')
    return
  }
  authorize(options, request)
  if (what === 'containerLogs' && rest.length === 3) {
    const { worker, container } = find(options, rest)
    await serveLogs(worker, container, url.searchParams, response)
    return
  }
  if (url.pathname === '/stats/summary') {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(await summaryOf(options)))
    return
  }
  throw new HttpError(404, 'not found')
}

function upgrade(options: ServerOptions, upgrades: Upgrades, asked: Upgrade): void {
  authorize(options, asked.request)
  const { pathname, searchParams } = new URL(asked.request.url ?? '/', 'http://agent')
  const [, what, ...rest] = pathname.split('/')
  if ((what === 'exec' || what === 'attach') && rest.length === 3) {
    const { worker, container } = find(options, rest)
    if (!worker.running().some(({ name }) => name === container)) {
      throw new HttpError(400, `container ${container} is not running`)
    }
    upgrades.streams(asked, searchParams, (client) =>
      what === 'attach'
        ? serveAttach(client, worker, container)
        : serveExec(
            client,
            worker,
            container,
            searchParams.getAll('command'),
            wantedBy(searchParams).tty,
          ),
    )
    return
  }
  if (what === 'portForward' && rest.length === 2) {
    const { record } = find(options, rest).worker
    const { name: pod, uid } = record.pod.metadata
    const { podIP = '', networkPid } = record
    const dial = networkPid
      ? dialInNetwork(networkPid)
      : dialAt((port) => options.network.locate(podIP, port))
    upgrades.forward(asked, { pod, uid, dial })
    return
  }
  throw new HttpError(404, 'not found')
}

/** The runtime answers in time: what a load balancer must know before it sends traffic here. */
/** A round trip to the container runtime. Rejects with HttpError 503 when it does not work. */
export async function checkHealth(runtime: Runtime): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new HttpError(503, 'the runtime does not answer')), HEALTH_MS)
  })
  try {
    await Promise.race([runtime.ping(), late])
  } catch (error) {
    if (error instanceof HttpError) throw error
    throw new HttpError(503, `the runtime does not work: ${String(error)}`)
  } finally {
    clearTimeout(timer)
  }
}

function authorize({ token }: ServerOptions, request: IncomingMessage): void {
  const given = request.headers.authorization ?? ''
  // Hashes have one length, which the comparison needs, and tell nothing by their time.
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest()
  if (token && timingSafeEqual(hash(given), hash(`Bearer ${token}`))) return
  throw new HttpError(401, 'Unauthorized')
}

function find(
  { pods }: ServerOptions,
  [namespace = '', name = '', container = '']: readonly string[],
): { worker: PodWorker; container: string } {
  const worker = pods.find(decodeURIComponent(namespace), decodeURIComponent(name))
  if (!worker) throw new HttpError(404, `pod "${name}" not found on this node`)
  const wanted = decodeURIComponent(container)
  const isThere = worker.record.containers.some((each) => each.name === wanted)
  if (wanted && !isThere) {
    throw new HttpError(400, `container ${wanted} is not valid for pod ${name}`)
  }
  return { worker, container: wanted }
}

function fail({ log }: ServerOptions, response: ServerResponse, error: unknown): void {
  if (!(error instanceof HttpError)) log.error('a request to the agent failed', { error })
  const { status, message } =
    error instanceof HttpError ? error : { status: 500, message: 'internal error' }
  if (response.headersSent) response.destroy()
  else {
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' })
    response.end(`${message}\n`)
  }
}

function refuseUpgrade(socket: Duplex, error: unknown): void {
  const { status, message } =
    error instanceof HttpError ? error : { status: 500, message: 'internal error' }
  socket.end(
    `HTTP/1.1 ${status} Refused\r\ncontent-type: text/plain; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(message) + 1}\r\nconnection: close\r\n\r\n${message}\n`,
  )
}
