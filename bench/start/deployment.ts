// The cluster's side of the comparison: `kubectl apply` of a Deployment, until the API says that all its pods
// are Ready and each has answered at its address.

import type { Pod } from '#shared/api/pod.ts'
import type { LocalWherry } from '#test/local-wherry.ts'
import { isServing, type Cluster } from '../failover/cluster.ts'
import type { Prober } from './prober.ts'

/** Seconds from the start of `kubectl apply`. */
export interface Start {
  /** kubectl has ended. */
  applied: number
  /** A watch shows all pods, each with its node. */
  bound: number
  /** A watch shows them Ready. */
  ready: number
  /** The last of them has answered. */
  serving: number
}

export interface Stage {
  wherry: LocalWherry
  cluster: Cluster
  prober: Prober
  /** Where a pod's port is, as the prober sees it. */
  addressOf: (pod: Pod) => Promise<string>
}

const NAME = 'start-bench'
const PORT = 8080

/** Error: not within the patience of its parts. */
export async function startDeployment(stage: Stage, count: number): Promise<Start> {
  const { wherry, cluster, prober, addressOf } = stage
  const mine = (): Pod[] => cluster.pods().filter(isOfBench)
  const all = (check: (pod: Pod) => boolean) => (): boolean => mine().filter(check).length === count
  const since = Date.now()
  const [applied, bound, ready] = await Promise.all([
    wherry.mustKubectl('apply -f -', { input: manifest(count) }).then(() => Date.now()),
    cluster.when(`${count} pods on nodes`, all(hasNode)),
    cluster.when(`${count} pods Ready`, all(isServing)),
  ])
  const urls = await Promise.all(
    mine().map(async (pod) => `http://${await addressOf(pod)}/healthz`),
  )
  const answered = await prober.whenAllAnswer(urls)
  const seconds = (at: number): number => (at - since) / 1000
  return {
    applied: seconds(applied),
    bound: seconds(bound),
    ready: seconds(ready),
    serving: seconds(answered),
  }
}

/** Until the last pod has gone. */
export async function removeDeployment({ wherry, cluster }: Stage): Promise<void> {
  await wherry.mustKubectl(`delete deployment ${NAME} --ignore-not-found`)
  await cluster.when('no pods', () => !cluster.pods().some(isOfBench))
}

/** On a network of pods, the pod's own; elsewhere where the VPC leads to. */
export async function addressOnHost(wherry: LocalWherry, pod: Pod): Promise<string> {
  const at = `${pod.status?.podIP}:${PORT}`
  if (wherry.ready.machines === 'docker') return at
  const url = new URL(`/vpc/route?address=${at}/tcp`, wherry.ready.gcloud)
  const { to }: { to: string } = JSON.parse(await (await fetch(url)).text())
  return to
}

function hasNode(pod: Pod): boolean {
  return pod.spec.nodeName !== undefined
}

function isOfBench({ metadata }: Pod): boolean {
  return metadata.labels?.['app'] === NAME
}

function manifest(replicas: number): string {
  return JSON.stringify({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: NAME },
    spec: {
      replicas,
      selector: { matchLabels: { app: NAME } },
      template: {
        metadata: { labels: { app: NAME } },
        spec: {
          containers: [
            {
              name: 'web',
              image: 'dlops/tic-tac-toe',
              imagePullPolicy: 'IfNotPresent',
              ports: [{ containerPort: PORT }],
              readinessProbe: { httpGet: { path: '/healthz', port: PORT }, periodSeconds: 1 },
            },
          ],
        },
      },
    },
  })
}
