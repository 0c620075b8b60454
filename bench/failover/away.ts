// Faults while the control plane is away: each on a cluster of its own, all in one outage of some
// minutes. What the nodes and Google's load balancers do by themselves, and how soon after its return
// the control plane has made good what was lost.

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { stringify } from 'yaml'
import type { Pod } from '#shared/api/pod.ts'
import { eventually, type LocalWherry } from '#test/local-wherry.ts'
import { watchCluster, isServing, type Cluster } from './cluster.ts'
import { startLoad, type Load } from './load.ts'
import { describeFailures, inFlightAt, type AwayRun } from './results.ts'
import { canHave, FAULTS, isCalm, webPods, type Hands, type ScenarioName } from './scenarios.ts'

export const AWAY_SCENARIOS = [
  'container-crash',
  'agent-crash',
  'docker-death',
  'vm-kill',
  'vm-hang',
  'partition',
  'preemption',
] as const satisfies ScenarioName[]
type AwayScenario = (typeof AWAY_SCENARIOS)[number]

const NODES = 2
const REPLICAS = 2
const PER_SECOND = 10
const UP_MS = 300_000
/** Traffic before the faults, and after all is well. */
const QUIET_MS = 5000
const LOCATION = 'us-east1-c'
const MANIFEST = 'examples/tic-tac-toe/deploy-k8s-tic-tac-toe.yml'
/** Faults that last: what stands still or is cut off stays so until all else was seen. */
const LASTING: readonly ScenarioName[] = ['vm-hang', 'partition']

interface Stage {
  scenario: AwayScenario
  cluster: Cluster
  load: Load
  victim: string
  lost: ReadonlySet<string>
  causedAt: number
}

/** One outage of `minutes` with every fault in it. */
export async function faultsWhileAway(
  wherry: LocalWherry,
  hands: Pick<Hands, 'fault'> & { probe: object },
  minutes: number,
): Promise<AwayRun[]> {
  const names = AWAY_SCENARIOS.filter((name) => canHave(name, wherry.ready.machines))
  const made: Awaited<ReturnType<typeof makeCluster>>[] = []
  // One after the other: all of them play on one machine.
  for (const name of names) made.push(await makeCluster(wherry, name, hands))
  const closed = (): void => made.forEach(({ cluster }) => cluster.close())
  const loads: Load[] = []
  try {
    const stages: Stage[] = made.map(({ scenario, cluster, url }) => {
      const load = startLoad(url, PER_SECOND)
      loads.push(load)
      const victim = webPods(cluster)[0]?.spec.nodeName ?? ''
      return { scenario, cluster, load, victim, lost: new Set(), causedAt: 0 }
    })
    await sleep(QUIET_MS)
    await hands.fault('control-plane-away')
    for (const stage of stages) await cause(stage, hands)
    await sleep(minutes * 60_000)
    const returnedAt = Date.now()
    await hands.fault('control-plane-back')
    const replacedAt = await Promise.all(stages.map((stage) => whenReplaced(stage)))
    await sleep(QUIET_MS)
    await Promise.all(loads.map((load) => load.stop()))
    await hands.fault('heal')
    return stages.map((stage, index) =>
      awayRun(stage, { returnedAt, replacedAt: replacedAt[index] ?? returnedAt, minutes }),
    )
  } finally {
    await Promise.all(loads.map((load) => load.stop()))
    closed()
  }
}

async function cause(stage: Stage, { fault }: Pick<Hands, 'fault'>): Promise<void> {
  const { scenario, cluster, victim } = stage
  const [pod] = webPods(cluster)
  const outlived: readonly ScenarioName[] = ['container-crash', 'agent-crash', 'docker-death']
  const isLost = ({ spec }: Pod): boolean =>
    spec.nodeName === victim && !outlived.includes(scenario)
  stage.lost = new Set(
    webPods(cluster)
      .filter(isLost)
      .map(({ metadata }) => metadata.uid),
  )
  stage.causedAt = Date.now()
  await fault(FAULTS[scenario], scenario === 'container-crash' ? pod?.metadata.name : victim)
}

function whenReplaced({ scenario, cluster, lost }: Stage): Promise<number> {
  return cluster.when(`${scenario}: all as before`, () => {
    if (lost.size === 0) return isCalm(cluster)
    const serving = webPods(cluster).filter(isServing)
    return serving.filter(({ metadata }) => !lost.has(metadata.uid)).length >= REPLICAS
  })
}

function awayRun(
  { scenario, load, causedAt }: Stage,
  times: { returnedAt: number; replacedAt: number; minutes: number },
): AwayRun {
  const ours = inFlightAt(load.records, causedAt)
  const failed = ours.filter(({ failure }) => failure !== undefined)
  const last = Math.max(causedAt, ...failed.map(({ sentAt }) => sentAt))
  return {
    scenario,
    minutes: times.minutes,
    outOfRotation: (last - causedAt) / 1000,
    replaced: Math.max(0, times.replacedAt - times.returnedAt) / 1000,
    lost: failed.length,
    requests: ours.length,
    failures: describeFailures(failed, causedAt),
    isLasting: LASTING.includes(scenario),
  }
}

/** A cluster named after the scenario, with the example on it. */
async function makeCluster(
  wherry: LocalWherry,
  scenario: AwayScenario,
  { probe }: { probe: object },
): Promise<{ scenario: AwayScenario; cluster: Cluster; url: string }> {
  const { ready, home } = wherry
  const token = readFileSync(join(home, 'admin-token'), 'utf8').trim()
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const all = `${ready.gcloud}/v1/projects/${ready.project}/locations/${LOCATION}/clusters`
  const body = JSON.stringify({ cluster: { name: scenario, initialNodeCount: NODES } })
  const answer = await fetch(all, { method: 'POST', headers, body })
  if (!answer.ok) throw new Error(`the cluster ${scenario}: ${await answer.text()}`)
  const { endpoint, masterAuth } = await eventually(
    `the cluster ${scenario}`,
    async () => {
      const read = await fetch(`${all}/${scenario}`, { headers })
      const found = (await read.json()) as {
        status: string
        endpoint: string
        masterAuth: { clusterCaCertificate: string }
      }
      return found.status === 'RUNNING' ? found : undefined
    },
    UP_MS,
  )
  const kubeconfig = join(home, `kubeconfig-${scenario}`)
  const ca = { 'certificate-authority-data': masterAuth.clusterCaCertificate }
  writeFileSync(
    kubeconfig,
    stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'it',
      contexts: [{ name: 'it', context: { cluster: 'it', user: 'me' } }],
      clusters: [{ name: 'it', cluster: { server: `https://${endpoint}`, ...ca } }],
      users: [{ name: 'me', user: { token } }],
    }),
    { mode: 0o600 },
  )
  const kubectl = (args: string): Promise<string> =>
    wherry.mustKubectl(`--kubeconfig=${kubeconfig} ${args}`, { timeoutMs: UP_MS })
  await kubectl(`apply -f ${MANIFEST}`)
  await kubectl(`patch deployment web -p '${JSON.stringify(probe)}'`)
  await kubectl('rollout status deployment web --timeout=280s')
  const where = 'get service web -o jsonpath={.status.loadBalancer.ingress[0].ip}'
  const address = await eventually('an address', async () => (await kubectl(where)) || false, UP_MS)
  const cluster = watchCluster(kubeconfig)
  await cluster.when(`${scenario} is calm`, () => isCalm(cluster), UP_MS)
  const url = `${wherry.urlOf(address)}/api/whoami`
  await eventually(url, async () => (await fetch(url)).ok, UP_MS)
  return { scenario, cluster, url }
}
