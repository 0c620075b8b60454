// The composition root on Google Cloud: one export a deployed function. Each reads and checks its
// variables (environment.ts) and puts its parts together at the first call; infra/bundle.ts makes one
// small bundle of each, so a function loads only what it uses.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { GOOGLE_ISSUER, createGoogleKeys } from './adapters/google-keys.ts'
import { createCloudLog } from './adapters/cloud-log.ts'
import { createCloudTasksTimers } from './adapters/cloud-tasks-timers.ts'
import { createComputeLook } from './adapters/compute-look.ts'
import { createComputeProbe } from './adapters/compute-probe.ts'
import { createFirestoreStore } from './adapters/firestore-store.ts'
import { createGoogleCompute } from './adapters/google-compute.ts'
import { createGoogleHttpBalancers } from './adapters/google-http-balancers.ts'
import { createGoogleIdentity } from './adapters/google-identity.ts'
import { createPushIdentity } from './adapters/google-push-identity.ts'
import { openFirestore } from './adapters/open-firestore.ts'
import { createPubsubBus, type PubsubBus } from './adapters/pubsub-bus.ts'
import { decodePush } from './adapters/pubsub-push.ts'
import { createSystemClock } from './adapters/system-clock.ts'
import type { UpgradeListener } from './api/exec-upgrade.ts'
import { createCloudApi } from './cloud-api.ts'
import { CLUSTER_LABEL } from './cloud/wishes.ts'
import { clusterPath } from './cluster-path.ts'
import {
  composeCloud,
  composeDeploys,
  composeReconcile,
  composeSignals,
  composeSweep,
  type CloudPorts,
  type OnMessage,
  type Ports,
} from './compose.ts'
import { readEnvironment, type FunctionName } from './environment.ts'
import {
  createPushFunction,
  type PushFunction,
  type PushRequest,
  type PushResponse,
} from './push-function.ts'

type Basics = Omit<Ports, CloudPorts | 'timers' | 'bus'> & { bus: PubsubBus }

/** Google's front ends learn of a detached endpoint within seconds of the call. */
const PROPAGATION_SECONDS = 10

interface Api {
  listen: ReturnType<typeof getRequestListener>
  upgrade: UpgradeListener
}

/** What was put together, until the process ends. */
const composed: Partial<Record<Exclude<FunctionName, 'api'>, PushFunction>> & { api?: Api } = {}

/** HTTP, open to everybody: whoever asks must prove who he is. */
export async function api(request: IncomingMessage, response: ServerResponse): Promise<void> {
  composed.api ??= openApi()
  await composed.api.listen(request, response)
}

/** The api function's connections that leave HTTP; its bundle hands them in (upgrades.ts). */
export const upgrade: UpgradeListener = (request, socket, head) => {
  try {
    composed.api ??= openApi()
    composed.api.upgrade(request, socket, head)
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** Pub/Sub pushes `wherry-changes` here. */
export async function reconcile(request: PushRequest, response: PushResponse): Promise<void> {
  composed.reconcile ??= openReconcile()
  await composed.reconcile(request, response)
}

/** Pub/Sub pushes `wherry-cloud` here. */
export async function cloud(request: PushRequest, response: PushResponse): Promise<void> {
  composed.cloud ??= openCloud()
  await composed.cloud(request, response)
}

/** Pub/Sub pushes `wherry-deploys` here. */
export async function deploys(request: PushRequest, response: PushResponse): Promise<void> {
  composed.deploys ??= openDeploys()
  await composed.deploys(request, response)
}

/** Pub/Sub pushes `wherry-signals` here. */
export async function signals(request: PushRequest, response: PushResponse): Promise<void> {
  composed.signals ??= openSignals()
  await composed.signals(request, response)
}

/** Cloud Scheduler calls it every minute. */
export async function sweep(request: PushRequest, response: PushResponse): Promise<void> {
  composed.sweep ??= openSweep()
  await composed.sweep(request, response)
}

function openApi(): Api {
  const env = readEnvironment(process.env, [
    'WHERRY_PROJECT',
    'WHERRY_REGION',
    'WHERRY_DATABASE',
    'WHERRY_API_URL',
    'WHERRY_GOOGLE_DOUBLE',
  ])
  const ports = openBasics('api', env)
  const project = env.WHERRY_PROJECT
  const double = env.WHERRY_GOOGLE_DOUBLE
  const app = createCloudApi({
    ...ports,
    project,
    url: env.WHERRY_API_URL,
    issuer: GOOGLE_ISSUER,
    keys: googleKeys(double),
    google: createGoogleIdentity({
      project,
      clock: ports.clock,
      log: ports.log,
      ...(double ? { tokenInfoUrl: `${double}/tokeninfo`, resourceManagerUrl: double } : {}),
    }),
    probes: {
      compute: createComputeProbe({ project, region: env.WHERRY_REGION }),
      pubsub: () => ports.bus.ping(),
    },
  })
  const listen = getRequestListener((request) => app.fetch(request), {
    overrideGlobalObjects: false,
  })
  return { listen, upgrade: app.upgrade }
}

function openReconcile(): PushFunction {
  const env = readEnvironment(process.env, [...PUSHED, ...WITH_TIMERS])
  const ports = { ...openBasics('reconcile', env), ...openTimers(env) }
  return onPush(ports, env, composeReconcile(ports))
}

function openCloud(): PushFunction {
  const env = readEnvironment(process.env, [
    ...PUSHED,
    ...WITH_TIMERS,
    'WHERRY_API_URL',
    'WHERRY_NETWORK',
    'WHERRY_SUBNETWORK',
    'WHERRY_POD_RANGE',
    'WHERRY_NODE_ACCOUNT',
    'WHERRY_AGENT_IMAGE',
    'WHERRY_HEALTH_CHECK_SECONDS',
  ])
  const basics = openBasics('cloud', env)
  const { WHERRY_PROJECT: project, WHERRY_REGION: region, WHERRY_API_URL: apiUrl } = env
  const compute = createGoogleCompute({
    project,
    region,
    clock: basics.clock,
    image: {
      network: `projects/${project}/global/networks/${env.WHERRY_NETWORK}`,
      subnetwork: env.WHERRY_SUBNETWORK,
      podRangeName: env.WHERRY_POD_RANGE,
      serviceAccount: env.WHERRY_NODE_ACCOUNT,
      tags: ['wherry-node'],
    },
  })
  const httpBalancers = createGoogleHttpBalancers({
    project,
    clock: basics.clock,
    network: `global/networks/${env.WHERRY_NETWORK}`,
  })
  const ports = { ...basics, ...openTimers(env), compute, disks: compute.disks, httpBalancers }
  const handle = composeCloud(ports, {
    region,
    apiUrl: (cluster) => `${apiUrl}${clusterPath(cluster)}`,
    apiCa: () => '',
    audience: apiUrl,
    pubsubProject: project,
    ...(env.WHERRY_AGENT_IMAGE ? { agentImage: env.WHERRY_AGENT_IMAGE } : {}),
    healthCheckIntervalSeconds: Number(env.WHERRY_HEALTH_CHECK_SECONDS),
    propagationSeconds: PROPAGATION_SECONDS,
  })
  return onPush(ports, env, handle)
}

function openDeploys(): PushFunction {
  const env = readEnvironment(process.env, [...PUSHED, ...WITH_TIMERS, 'WHERRY_GITHUB_URL'])
  const ports = { ...openBasics('deploys', env), ...openTimers(env) }
  const handle = composeDeploys(ports, { githubUrl: () => env.WHERRY_GITHUB_URL })
  return onPush(ports, env, handle)
}

function openSignals(): PushFunction {
  const env = readEnvironment(process.env, PUSHED)
  const ports = openBasics('signals', env)
  return onPush(ports, env, composeSignals(ports))
}

function openSweep(): PushFunction {
  const env = readEnvironment(process.env, [...PUSHED, ...WITH_TIMERS])
  const ports = { ...openBasics('sweep', env), ...openTimers(env) }
  const run = composeSweep(
    ports,
    createComputeLook({ project: env.WHERRY_PROJECT, label: CLUSTER_LABEL }),
  )
  return createPushFunction({ log: ports.log, verify: verifier(env), handle: () => run() })
}

const PUSHED = [
  'WHERRY_PROJECT',
  'WHERRY_DATABASE',
  'WHERRY_OWN_URL',
  'WHERRY_INVOKER',
  'WHERRY_GOOGLE_DOUBLE',
] as const

const WITH_TIMERS = ['WHERRY_REGION', 'WHERRY_QUEUE', 'WHERRY_TIMER_ACCOUNT'] as const

function openBasics(
  name: FunctionName,
  env: { WHERRY_PROJECT: string; WHERRY_DATABASE: string },
): Basics {
  const clock = createSystemClock()
  const log = createCloudLog({ clock, fields: { function: name } })
  const projectId = env.WHERRY_PROJECT
  const host = process.env['FIRESTORE_EMULATOR_HOST']
  const connection = openFirestore({
    projectId,
    databaseId: env.WHERRY_DATABASE,
    ...(host ? { host } : {}),
  })
  const store = createFirestoreStore({ connection, clock, log })
  // infra/ has made the topics; the client finds an emulator by its own variable.
  return { store, bus: createPubsubBus({ projectId, clock, log }), clock, log }
}

function openTimers(env: {
  WHERRY_PROJECT: string
  WHERRY_REGION: string
  WHERRY_QUEUE: string
  WHERRY_TIMER_ACCOUNT: string
}): Pick<Ports, 'timers'> {
  const timers = createCloudTasksTimers({
    projectId: env.WHERRY_PROJECT,
    location: env.WHERRY_REGION,
    queue: env.WHERRY_QUEUE,
    serviceAccount: env.WHERRY_TIMER_ACCOUNT,
    clock: createSystemClock(),
  })
  return { timers }
}

function onPush(
  { log }: Basics,
  env: { WHERRY_OWN_URL: string; WHERRY_INVOKER: string; WHERRY_GOOGLE_DOUBLE: string },
  handle: OnMessage,
): PushFunction {
  return createPushFunction({
    log,
    verify: verifier(env),
    handle: async (body) => {
      const message = decodePush(body)
      if (message) return handle(message)
      // It can never be handled: acknowledged, or it would come for ever.
      log.warn('a delivery without a message')
    },
  })
}

function verifier(env: {
  WHERRY_OWN_URL: string
  WHERRY_INVOKER: string
  WHERRY_GOOGLE_DOUBLE: string
}): ReturnType<typeof createPushIdentity> {
  return createPushIdentity({
    audience: env.WHERRY_OWN_URL,
    caller: env.WHERRY_INVOKER,
    keys: googleKeys(env.WHERRY_GOOGLE_DOUBLE),
  })
}

function googleKeys(double: string): ReturnType<typeof createGoogleKeys> {
  return createGoogleKeys(double ? `${double}/oauth2/v3/certs` : undefined)
}
