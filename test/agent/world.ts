// A small world around one real agent process: a control plane that says what is wanted and keeps what
// is reported, a metadata server, the VPC registry and Pub/Sub. Everything listens on free ports.

import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PubSub } from '@google-cloud/pubsub'
import { serve } from '@hono/node-server'
import { markedProcesses, signal } from '#agent/runtime/process-tree.ts'
import { createSystemClock } from '#functions/adapters/system-clock.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createVpc, type Vpc } from '#emulator/compute/vpc.ts'
import { startPubsubServer } from '#emulator/google/pubsub-server.ts'
import { VM_METADATA, type DesiredState, type NodeReport } from '#shared/api/agent-wire.ts'
import type { Pod, PodSpec, PodStatus } from '#shared/api/pod.ts'
import { TOPICS } from '#shared/ports/bus.ts'

export const NODE = 'gke-test-default-pool-abcd'
const TOKEN = 'agent-token'
const ROOT = join(import.meta.dirname, '..', '..')

export interface World {
  vpc: Vpc
  images: string
  stateDir: string
  reports: NodeReport[]
  /** How long the API answers 503; 0: it works. */
  outage: { status: number }
  /** Writes an image: a program for node, by its name. */
  image(name: string, server: string): void
  /** Changes what is wanted, and wakes the agent. */
  want(change: (desired: DesiredState) => void): Promise<void>
  /** From its source, or another program. */
  startAgent(program?: string): ChildProcess
  /** After Pub/Sub has lost it. */
  createTopic(): Promise<void>
  /** All that were started, the newest last. */
  agents: readonly ChildProcess[]
  /** The status that was last reported of a pod. */
  status(name: string): PodStatus | undefined
  isGone(name: string): boolean
  /** Reports in which the pod occurs. */
  reportsOf(name: string): number
  events(reason: string): string[]
  /** Asks the agent's own server. */
  ask(path: string, token?: string): Promise<Response>
  agentUrl(): string
  /** Processes of this world's containers. */
  containers(): number[]
  close(): Promise<void>
}

export interface WorldOptions {
  pubsubHost?: string
  /** What the agent's environment has besides. */
  agentEnv?: Readonly<Record<string, string>>
  /** A program that starts the agent somewhere else, with its arguments. */
  enter?: () => readonly string[]
}

/** Starts everything but the agent. */
export async function createWorld(options: WorldOptions = {}): Promise<World> {
  const home = mkdtempSync(join(tmpdir(), 'wherry-agent-'))
  const stateDir = join(home, 'disk')
  const images = join(home, 'images')
  mkdirSync(images)
  const vpc = createVpc()
  // The official emulator where there is one.
  const given = options.pubsubHost ?? process.env['PUBSUB_EMULATOR_HOST']
  const own = given
    ? undefined
    : await startPubsubServer({ clock: createSystemClock(), log: createMemoryLog() })
  const pubsubHost = own?.host ?? given ?? ''
  const project = `agent-test-${process.pid}`
  const pubsub = new PubSub({ projectId: project, apiEndpoint: pubsubHost, emulatorMode: true })
  const createTopic = async (): Promise<void> => void (await pubsub.createTopic(TOPICS.nodes))
  await createTopic()
  const vpcServer = serve({ fetch: vpc.app.fetch, hostname: '127.0.0.1', port: 0 })
  await once(vpcServer, 'listening')
  const control = await startControl()
  const metadata = await listen(
    createServer((request, response) => {
      const value = metadataOf(`http://127.0.0.1:${portOf(control.server)}`)[pathOf(request)]
      response.statusCode = value === undefined ? 404 : 200
      response.end(value)
    }),
  )
  const agents: ChildProcess[] = []

  const world: World = {
    vpc,
    images,
    stateDir,
    agents,
    createTopic,
    reports: control.reports,
    outage: control.outage,
    image(name, server) {
      const folder = join(images, name)
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, 'server.js'), server)
      const json = { name: `test/${name}`, entrypoint: ['node', 'server.js'], ports: [8080] }
      writeFileSync(join(folder, 'image.json'), JSON.stringify(json))
    },
    async want(change) {
      change(control.desired)
      control.desired.version = String(Number(control.desired.version) + 1).padStart(16, '0')
      await pubsub
        .topic(TOPICS.nodes)
        .publishMessage({ data: Buffer.from('{}'), attributes: { cluster: 'c', node: '*' } })
    },
    startAgent(source = join(ROOT, 'agent/main.ts')) {
      const env = {
        PATH: process.env['PATH'],
        GCE_METADATA_HOST: `127.0.0.1:${portOf(metadata)}`,
        WHERRY_STATE_DIR: stateDir,
        WHERRY_IMAGES: images,
        WHERRY_VPC_URL: `http://127.0.0.1:${portOf(vpcServer as Server)}`,
        PUBSUB_EMULATOR_HOST: pubsubHost,
        ...options.agentEnv,
      }
      const line = [...(options.enter?.() ?? []), process.execPath, source]
      const [program = '', ...rest] = line
      const child = spawn(program, rest, {
        env,
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      child.stdout?.on('data', (chunk: Buffer) => {
        if (process.env['AGENT_LOG']) process.stderr.write(chunk)
      })
      agents.push(child)
      return child
    },
    status: (name) => lastOf(control.reports, name)?.status,
    isGone: (name) => lastOf(control.reports, name)?.isGone === true,
    reportsOf: (name) =>
      control.reports.filter(({ pods }) => pods?.some((each) => each.name === name)).length,
    events: (reason) =>
      control.reports.flatMap(({ events }) =>
        (events ?? []).filter((each) => each.reason === reason).map(({ message }) => message),
      ),
    agentUrl: () => `http://${vpc.lookup('10.128.0.5:10250/tcp')}`,
    ask: (path, token = TOKEN) =>
      fetch(`${world.agentUrl()}${path}`, { headers: { authorization: `Bearer ${token}` } }),
    containers: () => processesWith(stateDir),
    async close() {
      for (const agent of agents) {
        if (agent.exitCode !== null || agent.signalCode !== null) continue
        const ended = once(agent, 'exit')
        agent.stdin?.destroy()
        await ended
      }
      // An agent that was killed could not end its containers, and no next one has done it.
      for (const pid of world.containers()) signal(pid, 'SIGKILL')
      for (const server of [vpcServer as Server, control.server, metadata]) {
        server.close()
        server.closeAllConnections()
      }
      await pubsub.close()
      await own?.stop()
      rmSync(home, { recursive: true, force: true })
    },
  }
  return world
}

/** A pod as the API hands it to a node. */
export function podOf(name: string, spec: Partial<PodSpec> & Pick<PodSpec, 'containers'>): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'default',
      uid: `uid-${name}`,
      creationTimestamp: '2026-11-22T00:00:00Z',
      resourceVersion: '1',
    },
    spec: { nodeName: NODE, terminationGracePeriodSeconds: 5, ...spec },
  }
}

/** Polls until the condition gives something true. */
export async function eventually<T>(
  what: string,
  condition: () => T | Promise<T>,
  withinMs = 15_000,
): Promise<Exclude<T, false | undefined>> {
  const until = Date.now() + withinMs
  for (;;) {
    const value = await condition()
    if (isThere(value)) return value
    if (Date.now() > until) throw new Error(`not within ${withinMs} ms: ${what}`)
    await new Promise((resolve) => {
      setTimeout(resolve, 20)
    })
  }
}

function isThere<T>(value: T): value is Exclude<T, false | undefined> {
  return Boolean(value)
}

async function startControl() {
  const desired: DesiredState = {
    version: '0000000000000001',
    pods: [],
    configMaps: [],
    secrets: [],
    services: [],
    endpointSlices: [],
    networkPolicies: [],
  }
  const reports: NodeReport[] = []
  const outage = { status: 0 }
  const server = await listen(
    createServer((request, response) => {
      void reply(request, response)
    }),
  )
  async function reply(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, body } = await answer(request)
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(body))
  }
  async function answer(request: IncomingMessage): Promise<{ status: number; body: unknown }> {
    const text = await textOf(request)
    if (outage.status) return { status: outage.status, body: { message: 'away' } }
    if (request.url?.endsWith('/desired')) return { status: 200, body: desired }
    const report: NodeReport = JSON.parse(text)
    reports.push(report)
    if (report.node) desired.node = report.node
    for (const { uid, status, isGone } of report.pods ?? []) {
      const pod = desired.pods.find((each) => each.metadata.uid === uid)
      if (pod) pod.status = status
      if (isGone) desired.pods = desired.pods.filter((each) => each !== pod)
    }
    return { status: 200, body: { version: desired.version, unknown: [] } }
  }
  return { server, desired, reports, outage }
}

function metadataOf(apiUrl: string): Record<string, string> {
  const attributes = {
    [VM_METADATA.cluster]: 'c',
    [VM_METADATA.apiUrl]: apiUrl,
    [VM_METADATA.audience]: 'https://test',
    [VM_METADATA.agentToken]: TOKEN,
    [VM_METADATA.pubsubProject]: `agent-test-${process.pid}`,
    [VM_METADATA.nodeLabels]: '{"cloud.google.com/gke-nodepool":"default-pool"}',
  }
  const values: Record<string, string> = {
    'project/project-id': 'test',
    'instance/name': NODE,
    'instance/id': '4711',
    'instance/zone': 'projects/1/zones/us-central1-a',
    'instance/machine-type': 'projects/1/machineTypes/e2-medium',
    'instance/network-interfaces/0/ip': '10.128.0.5',
    'instance/network-interfaces/0/ip-aliases/0': '10.4.1.0/24',
    'instance/service-accounts/default/identity': 'head.e30.signature',
  }
  for (const [key, value] of Object.entries(attributes))
    values[`instance/attributes/${key}`] = value
  return Object.fromEntries(
    Object.entries(values).map(([path, value]) => [`/computeMetadata/v1/${path}`, value]),
  )
}

function lastOf(reports: readonly NodeReport[], name: string) {
  return reports.flatMap(({ pods }) => pods ?? []).findLast((each) => each.name === name)
}

/** Processes whose environment names the agent that keeps its state in this folder. */
function processesWith(stateDir: string): number[] {
  const owner = createHash('sha256').update(stateDir).digest('hex').slice(0, 12)
  return markedProcesses(`${owner}.`)
}

function textOf(request: IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    request.on('data', (chunk: Buffer) => (text += chunk.toString()))
    request.on('end', () => resolve(text))
  })
}

async function listen(server: Server): Promise<Server> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

function pathOf(request: IncomingMessage): string {
  return new URL(request.url ?? '/', 'http://metadata').pathname
}
