// Simulated people: they apply, scale, roll out, undo, pause, delete and cordon, whenever they like.

import type { Deployment } from '#shared/api/deployment.ts'
import type { Namespace } from '#shared/api/namespace.ts'
import type { Node } from '#shared/api/node.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { Service } from '#shared/api/service.ts'
import { keyOf } from '#shared/key.ts'
import { deletePolitely } from '#shared/reconcile/delete.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { ClusterClient } from './cluster.ts'
import type { Random } from './random.ts'

const USER = 'user:admin'
export const NAMESPACE = 'default'
const NAMES = ['web', 'api']

const ACTIONS = {
  apply: 6,
  scale: 5,
  'set image': 5,
  pause: 1,
  'delete pod': 4,
  'delete deployment': 1,
  'apply service': 2,
  cordon: 1,
} as const

export class People {
  readonly #client: ClusterClient
  readonly #clock: Clock
  readonly #random: Random

  constructor(client: ClusterClient, clock: Clock, random: Random) {
    this.#client = client
    this.#clock = clock
    this.#random = random
  }

  async createNamespace(): Promise<void> {
    const namespace: Namespace = {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: NAMESPACE, uid: '', creationTimestamp: '' },
      spec: {},
    }
    await this.#client.put(USER, namespace)
  }

  async act(): Promise<void> {
    const name = this.#random.pick(NAMES) ?? 'web'
    switch (this.#random.weighted(ACTIONS)) {
      case 'apply':
        return this.#apply(name)
      case 'scale':
        return this.#change(name, (spec) => ({ ...spec, replicas: this.#random.below(6) }))
      case 'set image':
        return this.#change(name, (spec) => ({
          ...spec,
          template: templateOf(name, this.#image()),
        }))
      case 'pause':
        return this.#change(name, ({ paused, ...spec }) =>
          paused ? spec : { ...spec, paused: true },
        )
      case 'delete pod':
        return this.#deletePod()
      case 'delete deployment':
        return this.#client.remove(USER, keyOf('deployments.apps', NAMESPACE, name))
      case 'apply service':
        // The other one has none: its nodes hear of its pods alone.
        return this.#client.put(USER, serviceOf('web'))
      case 'cordon':
        return this.#cordon()
    }
  }

  /** What people do when they want to see it work in the end. */
  async tidyUp(): Promise<void> {
    for (const name of NAMES) {
      if ((await this.#deployment(name))?.spec.paused) await this.#change(name, resumed)
    }
    const nodes = (await this.#client.read()).list('nodes') as readonly Node[]
    for (const node of nodes.filter(({ spec }) => spec.unschedulable)) {
      const { unschedulable: _, ...spec } = node.spec
      const next: Node = { ...node, spec }
      await this.#client.put(USER, next)
    }
  }

  #image(): string {
    return `image:${this.#random.below(4)}`
  }

  async #apply(name: string): Promise<void> {
    const known = await this.#deployment(name)
    const isRolling = this.#random.chance(0.8)
    const [surge, unavailable] = this.#random.pick([
      [1, 0],
      [0, 1],
      [2, 1],
      ['50%', '25%'],
    ]) ?? [1, 0]
    const deployment: Deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: known?.metadata ?? {
        name,
        namespace: NAMESPACE,
        uid: '',
        creationTimestamp: '',
        labels: { run: name },
      },
      spec: {
        replicas: 1 + this.#random.below(5),
        selector: { matchLabels: { run: name } },
        template: templateOf(name, this.#image()),
        strategy: isRolling
          ? {
              type: 'RollingUpdate',
              rollingUpdate: { maxSurge: surge ?? 1, maxUnavailable: unavailable ?? 0 },
            }
          : { type: 'Recreate' },
        revisionHistoryLimit: 2,
        ...(this.#random.chance(0.3) ? { minReadySeconds: 5 } : {}),
      },
      ...(known?.status ? { status: known.status } : {}),
    }
    await this.#client.put(USER, deployment)
  }

  async #change(
    name: string,
    change: (spec: Deployment['spec']) => Deployment['spec'],
  ): Promise<void> {
    const deployment = await this.#deployment(name)
    if (!deployment) return
    const next: Deployment = { ...deployment, spec: change(deployment.spec) }
    await this.#client.put(USER, next)
  }

  async #deployment(name: string): Promise<Deployment | undefined> {
    const reader = await this.#client.read()
    return reader.get(keyOf('deployments.apps', NAMESPACE, name)) as Deployment | undefined
  }

  async #deletePod(): Promise<void> {
    const reader = await this.#client.read()
    const pod = this.#random.pick(reader.list('pods', NAMESPACE) as readonly Pod[])
    for (const write of pod ? deletePolitely(pod, this.#clock.now()) : []) {
      if (write.do === 'remove') await this.#client.remove(USER, write.key)
      else await this.#client.put(USER, write.object)
    }
  }

  async #cordon(): Promise<void> {
    const reader = await this.#client.read()
    const node = this.#random.pick(reader.list('nodes') as readonly Node[])
    if (!node) return
    const spec = { ...node.spec, unschedulable: !node.spec.unschedulable }
    await this.#client.put(USER, { ...node, spec } as Node)
  }
}

function resumed(spec: Deployment['spec']): Deployment['spec'] {
  const { paused: _, ...rest } = spec
  return rest
}

function templateOf(name: string, image: string): Deployment['spec']['template'] {
  const resources = { requests: { cpu: '250m', memory: '64Mi' } }
  return {
    metadata: { labels: { run: name } },
    spec: { containers: [{ name: 'main', image, resources, ports: [{ containerPort: 8080 }] }] },
  }
}

function serviceOf(name: string): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: NAMESPACE, uid: '', creationTimestamp: '' },
    spec: { selector: { run: name }, ports: [{ port: 80, targetPort: 8080 }] },
  }
}
