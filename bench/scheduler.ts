// Pods scheduled per second at 5,000 nodes on one core: whole passes of the engine with its Events and
// the commits into a view, without a store. kube-scheduler's own benchmark asks for 680 to 810.

import type { KubeObject } from '#shared/api/meta.ts'
import type { Node } from '#shared/api/node.ts'
import type { Pod, PodSpec } from '#shared/api/pod.ts'
import { derivedUid } from '#shared/hash.ts'
import type { Change } from '#shared/ports/store.ts'
import { reconcileToFixpoint } from '#shared/reconcile/engine.ts'
import { keyOfObject } from '#shared/reconcile/kinds.ts'
import type { Work } from '#shared/reconcile/work-queue.ts'
import { PENDING_PODS, scheduler } from '#shared/schedule/scheduler.ts'
import { formatTime } from '#shared/time.ts'
import { ClusterView } from '#shared/view/view.ts'
import type { Measurement } from './measurement.ts'

const NODES = 5_000
const RUNNING_PODS = 10_000
const PENDING = 5_000
const NOW = 1_800_000_000_000

/** The kinds of pods that are measured, each on a fresh cluster. */
const CASES: Record<string, Partial<PodSpec>> = {
  plain: {},
  'topology spread': {
    topologySpreadConstraints: [
      {
        maxSkew: 5,
        topologyKey: 'topology.kubernetes.io/zone',
        whenUnsatisfiable: 'DoNotSchedule',
        labelSelector: { matchLabels: { app: 'app-0' } },
      },
    ],
  },
  'anti-affinity': {
    affinity: {
      podAntiAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [
          {
            weight: 1,
            podAffinityTerm: {
              topologyKey: 'kubernetes.io/hostname',
              labelSelector: { matchLabels: { app: 'app-0' } },
            },
          },
        ],
      },
    },
  },
}

/** `npm run bench -- scheduler`. */
export async function measure(): Promise<Measurement[]> {
  schedule({}, 500)
  return Object.entries(CASES).map(([name, spec]) => {
    const { seconds, scheduled } = schedule(spec, PENDING)
    return {
      name: `scheduler.${name.replace(' ', '-')}`,
      unit: 'pods/s',
      value: Math.round(scheduled / seconds),
      note: `${scheduled} pods at ${NODES} nodes with ${RUNNING_PODS} pods running`,
    }
  })
}

function schedule(spec: Partial<PodSpec>, count: number): { seconds: number; scheduled: number } {
  const world = new World()
  world.store(Array.from({ length: NODES }, (_, index) => aNode(index)))
  world.store(
    Array.from({ length: RUNNING_PODS }, (_, index) => aPod(index, {}, `node-${index % NODES}`)),
  )
  world.store(Array.from({ length: count }, (_, index) => aPod(RUNNING_PODS + index, spec)))
  const start = performance.now()
  world.run()
  const seconds = (performance.now() - start) / 1000
  const scheduled = world.scheduled - RUNNING_PODS
  if (scheduled !== count) throw new Error(`only ${scheduled} of ${count} pods were scheduled`)
  return { seconds, scheduled }
}

class World {
  readonly #view = new ClusterView()
  #versions = 0

  get scheduled(): number {
    const pods = this.#view.list('pods') as readonly Pod[]
    return pods.filter((pod) => pod.spec.nodeName).length
  }

  store(objects: readonly KubeObject[]): void {
    this.#commit(objects.map((after) => ({ key: keyOfObject(after), after })))
  }

  run(): void {
    let rest: Work[] = [{ reconciler: scheduler.name, key: PENDING_PODS }]
    while (rest.length > 0) {
      const pass = reconcileToFixpoint({
        reader: this.#view,
        work: rest,
        now: NOW,
        reconcilers: [scheduler],
      })
      this.#commit(
        pass.writes.map(({ key, object, before }) => ({
          key,
          ...(before ? { before } : {}),
          ...(object ? { after: object } : {}),
        })),
      )
      rest = pass.rest
    }
  }

  #commit(changes: Change[]): void {
    const version = String(++this.#versions).padStart(16, '0')
    const stamped = changes.map((change) => {
      if (!change.after) return change
      const metadata = { ...change.after.metadata, resourceVersion: version }
      return { ...change, after: { ...change.after, metadata } }
    })
    const cause = { actor: 'bench', verb: 'put' }
    this.#view.apply({ id: version, version, cause, changes: stamped, decisions: [] })
  }
}

function aNode(index: number): Node {
  const name = `node-${index}`
  const allocatable = { cpu: '4', memory: '32Gi', pods: '110', 'ephemeral-storage': '100Gi' }
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      uid: derivedUid('node', index),
      creationTimestamp: formatTime(NOW),
      labels: {
        'kubernetes.io/hostname': name,
        'topology.kubernetes.io/zone': `zone-${index % 3}`,
      },
    },
    spec: {},
    status: { allocatable, capacity: allocatable },
  }
}

function aPod(index: number, spec: Partial<PodSpec>, nodeName?: string): Pod {
  const app = `app-${index % 20}`
  const requests = { cpu: '100m', memory: '500Mi' }
  const controller = { apiVersion: 'apps/v1', kind: 'ReplicaSet', controller: true }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `pod-${index}`,
      namespace: 'default',
      uid: derivedUid('pod', index),
      creationTimestamp: formatTime(NOW),
      labels: { app },
      ownerReferences: [{ ...controller, name: app, uid: app }],
    },
    spec: {
      containers: [{ name: 'main', image: 'pause', resources: { requests } }],
      ...spec,
      ...(nodeName ? { nodeName } : {}),
    },
    status: { phase: nodeName ? 'Running' : 'Pending' },
  }
}
