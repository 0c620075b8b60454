// GitHub, a cluster and time, all in this process: pushes arrive as signed webhooks, the deploy and
// reconcile functions run on memory drivers, pods become ready unless a test says otherwise.

import { sign } from '@octokit/webhooks-methods'
import { createManualClock, type ManualClock } from '#emulator/adapters/manual-clock.ts'
import { createMemoryBus } from '#emulator/adapters/memory-bus.ts'
import { createMemoryLog, type MemoryLog } from '#emulator/adapters/memory-log.ts'
import { createMemoryStore } from '#emulator/adapters/memory-store.ts'
import type { AppDouble } from '#emulator/github/double-app.ts'
import {
  createGithubDouble,
  type GithubDouble,
  type RepositoryDouble,
} from '#emulator/github/double.ts'
import { createLiveViews } from '#functions/cluster/create-live-views.ts'
import type { LiveView } from '#functions/cluster/live-view.ts'
import { createDeploys, createDeployWebhook, type Deploys } from '#functions/deploys/deploys.ts'
import { createReconcile } from '#functions/reconcile/reconcile.ts'
import type { Secret } from '#shared/api/config.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { Pod } from '#shared/api/pod.ts'
import { repositoryKind, type Repository, type RepositorySpec } from '#shared/api/repository.ts'
import { keyOf } from '#shared/key.ts'
import type { Store, Write } from '#shared/ports/store.ts'
import type { Timers } from '#shared/ports/timers.ts'
import { formatTime } from '#shared/time.ts'
import { aNode, meta } from '../support/objects.ts'
import { createGitRepository, type GitRepository } from './git-repository.ts'

export const CLUSTER = 'test'
export const SECRET = 'a secret of forty random characters, say'
export const NAME = 'local/web'
const KEY = keyOf('repositories.deploy.wherry.dev', 'default', 'web')

export interface World {
  git: GitRepository
  github: GithubDouble
  hub: RepositoryDouble
  clock: ManualClock
  store: Store
  log: MemoryLog
  live: LiveView
  deploys: Deploys
  webhook: ReturnType<typeof createDeployWebhook>
  /** Times at which a wake-up was asked for. */
  wakes: number[]
  /** Which images never become ready. */
  broken: Set<string>
  repository(): Promise<Repository>
  /** One object as it is now. */
  get(resource: string, name: string, namespace?: string): Promise<KubeObject | undefined>
  list(resource: string, namespace?: string): Promise<readonly KubeObject[]>
  /** The signed delivery of an event. */
  deliver(event: string, payload: object, options?: DeliverOptions): Promise<Response>
  /** As GitHub after `git push`. */
  push(commit: string, options?: DeliverOptions): Promise<Response>
  /** Deploy function, controllers and nodes until nothing changes. */
  settle(): Promise<void>
  /** A new instance of the deploy function that remembers nothing. */
  restart(): void
  /** A second instance beside the first. */
  another(): Deploys
  /** Stores an object past the API, as somebody's hand. */
  replace(resource: string, object: KubeObject): Promise<void>
  create(resource: string, object: KubeObject): Promise<void>
  setSpec(spec: Partial<RepositorySpec>): Promise<void>
  annotate(annotations: Record<string, string>): Promise<void>
  close(): Promise<void>
}

export interface DeliverOptions {
  id?: string
  secret?: string
  headers?: Record<string, string>
}

export interface WorldOptions {
  spec?: Partial<RepositorySpec>
  /** Wraps the store of the deploy function and the webhook, for faults. */
  store?: (store: Store) => Store
  fault?: Parameters<typeof createGithubDouble>[0]['fault']
  rateLimit?: number
  /** GitHub is spoken to as this App instead of with a token. */
  app?: AppDouble & { privateKey: string }
  /** Answers what is asked of container registries. */
  registry?: (request: Request) => Response
  /** Throws when the deploy function shall die at this request. */
  beforeFetch?: () => void
  start?: number
  /** A repository that is used again; one of its own otherwise, which goes with the world. */
  git?: GitRepository
}

export async function createWorld(options: WorldOptions = {}): Promise<World> {
  const clock = createManualClock(options.start ?? Date.parse('2026-11-22T12:00:00Z'))
  const store = createMemoryStore({ clock })
  const bus = createMemoryBus({ isManual: true })
  const log = createMemoryLog()
  const wakes: number[] = []
  const timers: Timers = {
    wake: (_cluster, atMs) => Promise.resolve(void wakes.push(atMs)),
    close: () => Promise.resolve(),
  }
  const git = options.git ?? createGitRepository()
  const github = createGithubDouble({
    clock,
    origin: () => 'http://github.test',
    ...(options.fault ? { fault: options.fault } : {}),
    ...(options.rateLimit ? { rateLimit: options.rateLimit } : {}),
    ...(options.app ? { credentials: options.app } : {}),
  })
  const hub = github.add(options.spec?.repository ?? NAME, git.folder)
  const views = createLiveViews({ store, clock, log })
  const faulty = options.store ? options.store(store) : store
  let deployViews = createLiveViews({ store: faulty, clock, log })
  const ports = { bus, timers, clock, log }
  const instance = (): Deploys =>
    createDeploys({
      ...ports,
      views: deployViews,
      githubUrl: () => 'http://github.test',
      fetch: async (input, init) => {
        options.beforeFetch?.()
        const request = new Request(input, init)
        if (new URL(request.url).host !== 'github.test') {
          return options.registry?.(request) ?? Response.error()
        }
        return Promise.race([github.app.fetch(request), aborted(request.signal)])
      },
    })
  const webhook = createDeployWebhook({ ...ports, views: deployViews })
  const reconcile = createReconcile({ ...ports, views })
  const live = await views.open(CLUSTER)
  const broken = new Set<string>()
  await seed(live, options)
  const fresh = async (): Promise<Repository> => {
    const repository = (await live.catchUp()).get(KEY)
    if (!repository) throw new Error('the Repository is gone')
    return repository as Repository
  }
  const rewrite = async (change: (repository: Repository) => Repository): Promise<void> => {
    const repository = await fresh()
    await live.commit({
      id: `test-${clock.now()}-${live.current.version}`,
      cause: { actor: 'user:test', verb: 'update' },
      writes: [
        {
          key: KEY,
          object: change(structuredClone(repository)),
          expect: repository.metadata.resourceVersion ?? null,
        },
      ],
    })
  }
  let deliveries = 0
  const world: World = {
    git,
    github,
    hub,
    clock,
    store,
    log,
    live,
    deploys: instance(),
    webhook,
    wakes,
    broken,
    repository: fresh,
    get: async (resource, name, namespace = 'default') =>
      structuredClone((await live.catchUp()).get(keyOf(resource, namespace, name))),
    list: async (resource, namespace) => (await live.catchUp()).list(resource, namespace),
    async deliver(event, payload, { id, secret = SECRET, headers } = {}) {
      const body = JSON.stringify(payload)
      return webhook.request(`/github/webhook/${CLUSTER}`, {
        method: 'POST',
        body,
        headers: {
          'content-type': 'application/json',
          'x-github-event': event,
          'x-github-delivery': id ?? `delivery-${++deliveries}`,
          'x-hub-signature-256': await sign(secret, body),
          ...headers,
        },
      })
    },
    push: (commit, deliverOptions) =>
      world.deliver(
        'push',
        { ref: 'refs/heads/main', after: commit, repository: { full_name: NAME } },
        deliverOptions,
      ),
    async settle() {
      for (let round = 0; round < 30; round++) {
        const before = (await live.catchUp()).version
        await world.deploys.handle(CLUSTER)
        await reconcile.handle(CLUSTER)
        await runPods(live, broken, clock.now())
        if ((await live.catchUp()).version === before) return
      }
      throw new Error('does not come to rest')
    },
    restart: () => {
      deployViews = createLiveViews({ store: faulty, clock, log })
      world.deploys = instance()
    },
    another: instance,
    replace: (resource, object) => put(live, resource, object, object.metadata.resourceVersion),
    create: (resource, object) => put(live, resource, object, undefined),
    setSpec: (spec) =>
      rewrite((repository) => ({
        ...repository,
        spec: { ...repository.spec, ...spec },
        metadata: {
          ...repository.metadata,
          generation: (repository.metadata.generation ?? 0) + 1,
        },
      })),
    annotate: (annotations) =>
      rewrite((repository) => ({
        ...repository,
        metadata: {
          ...repository.metadata,
          annotations: { ...repository.metadata.annotations, ...annotations },
        },
      })),
    async close() {
      await views.close()
      await deployViews.close()
      bus.close()
      if (!options.git) git.remove()
    },
  }
  return world
}

/** As fetch: who gives up hears so. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
  })
}

async function put(
  live: LiveView,
  resource: string,
  object: KubeObject,
  expect: string | undefined,
): Promise<void> {
  const key = keyOf(resource, object.metadata.namespace, object.metadata.name)
  await live.commit({
    id: `put-${key}-${live.current.version}`,
    cause: { actor: 'user:test', verb: 'update' },
    writes: [{ key, object, expect: expect ?? null }],
  })
}

async function seed(live: LiveView, { spec = {}, app }: WorldOptions): Promise<void> {
  const repository: Repository = {
    apiVersion: 'deploy.wherry.dev/v1',
    kind: 'Repository',
    metadata: meta('web', { generation: 1 }),
    spec: {
      repository: NAME,
      webhookSecretRef: { name: 'hook' },
      credentialsRef: { name: 'github' },
      ...spec,
    },
  }
  repositoryKind.applyDefaults?.(repository, { now: 0, reader: live.current })
  const secret = (name: string, texts: Record<string, string>): Secret => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: meta(name),
    type: 'Opaque',
    data: Object.fromEntries(
      Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
    ),
  })
  const credentials: Record<string, string> = app
    ? { appId: app.id, installationId: app.installation, privateKey: app.privateKey }
    : { token: 'ghp_test' }
  const namespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'default', uid: 'ns', creationTimestamp: '2026-11-22T11:00:00Z' },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  }
  const objects: [string, KubeObject][] = [
    ['namespaces', namespace],
    ['nodes', aNode('vm-1')],
    ['secrets', secret('hook', { secret: SECRET })],
    ['secrets', secret('github', credentials)],
    ['repositories.deploy.wherry.dev', repository],
  ]
  await live.commit({
    id: 'seed',
    cause: { actor: 'test', verb: 'seed' },
    writes: objects.map(([resource, object]) => ({
      key: keyOf(resource, object.metadata.namespace, object.metadata.name),
      object,
      expect: null,
    })),
  })
}

/** Every pod on a node runs and is ready at once; deleted ones go; broken images wait. */
async function runPods(live: LiveView, broken: ReadonlySet<string>, now: number): Promise<void> {
  const reader = await live.catchUp()
  const writes = (reader.list('pods') as readonly Pod[]).flatMap((pod): Write[] => {
    const key = keyOf('pods', pod.metadata.namespace, pod.metadata.name)
    const expect = pod.metadata.resourceVersion ?? null
    if (pod.metadata.deletionTimestamp) return [{ key, object: null, expect }]
    if (!pod.spec.nodeName || pod.status?.containerStatuses) return []
    const image = pod.spec.containers[0]?.image ?? ''
    return [{ key, object: started(pod, !broken.has(image), formatTime(now)), expect }]
  })
  if (writes.length === 0) return
  await live.commit({
    id: `pods-${live.current.version}`,
    cause: { actor: 'node:vm-1', verb: 'report' },
    writes,
  })
}

const ENDED = { containerID: 'run-1', exitCode: 1, reason: 'Error' }

function started(pod: Pod, isReady: boolean, time: string): Pod {
  const status = isReady ? 'True' : 'False'
  const condition = (
    type: string,
  ): { type: string; status: 'True' | 'False'; lastTransitionTime: string } => ({
    type,
    status,
    lastTransitionTime: time,
  })
  return {
    ...pod,
    status: {
      ...pod.status,
      phase: isReady ? 'Running' : 'Pending',
      podIP: '10.8.0.9',
      conditions: [
        ...(pod.status?.conditions ?? []).filter(({ type }) => type === 'PodScheduled'),
        condition('Ready'),
        condition('ContainersReady'),
      ],
      containerStatuses: pod.spec.containers.map(({ name, image = '' }) => ({
        name,
        image,
        imageID: '',
        ready: isReady,
        restartCount: isReady ? 0 : 3,
        ...(isReady ? {} : { lastState: { terminated: ENDED } }),
        state: isReady
          ? { running: { startedAt: time } }
          : {
              waiting: {
                reason: 'CrashLoopBackOff',
                message: 'back-off 10s restarting failed container',
              },
            },
      })),
    },
  }
}

/** The store with another commit. */
export function withCommit(store: Store, commit: Store['commit']): Store {
  return {
    commit,
    get: (...args) => store.get(...args),
    readCheckpoint: (...args) => store.readCheckpoint(...args),
    writeCheckpoint: (...args) => store.writeCheckpoint(...args),
    revisions: (...args) => store.revisions(...args),
    follow: (...args) => store.follow(...args),
    changedSince: (...args) => store.changedSince(...args),
    trim: (...args) => store.trim(...args),
  }
}

/** A Deployment and a Service, as people write them. */
export function appManifest(image: string, replicas = 2): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: { name: web, labels: { app: web } }
spec:
  replicas: ${replicas}
  progressDeadlineSeconds: 60
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - { name: web, image: '${image}', ports: [{ containerPort: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  selector: { app: web }
  ports: [{ port: 80, targetPort: 8080 }]
`
}
