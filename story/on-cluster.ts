// Act 3: the same app on Wherry, started as `npm start` does and used with kubectl. The same faults, by
// the command that people use for them; after each the program only watches what the cluster does.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Pod } from '#shared/api/pod.ts'
import type { FaultName } from '#emulator/fault-kinds.ts'
import { eventually, startLocalWherry, type LocalWherry } from '#test/local-wherry.ts'
import {
  isNodeReady,
  isServing,
  restartsOf,
  watchCluster,
  type Cluster,
} from '../bench/failover/cluster.ts'
import { VM_COUNT } from './assumptions.ts'
import { calm, underLoad, type Book, type Stage } from './stage.ts'
import type { Act, VmLayout } from './story.ts'

const ROOT = join(import.meta.dirname, '..')
const MANIFESTS = ['examples/mushroom-app/mushroom-app.yml', 'examples/mushroom-app/ingress.yml']
const NAMESPACE = 'mushroom'
/** Each twice, so that one may die: who has a backup is a number here, not a second machine. */
const APPS = ['model-api', 'catalog-api', 'frontend']
const REPLICAS = 2
/** Where the app has one: once, on a disk that one VM at a time may write, so it moves. */
const DATABASE = 'database'
const ATTEMPTS_MAX = 5
/** Other acts, and maybe other programs, want this machine as well. */
const START_MS = 240_000
const ROLLOUT_S = 120
const ANSWER_MS = 60_000
const MOVED_MS = 240_000
const TRANSCRIPT = [
  'kubectl get nodes',
  `kubectl get ingress --namespace ${NAMESPACE}`,
  `kubectl get pods --namespace ${NAMESPACE} --output wide`,
  `kubectl get events --namespace ${NAMESPACE} --sort-by .metadata.creationTimestamp`,
]

const run = promisify(execFile)

/** Everything that act 3 touches. */
interface Scene {
  wherry: LocalWherry
  cluster: Cluster
  kubectl: (args: string) => Promise<string>
}

export async function onCluster(stage: Stage): Promise<Act> {
  const { signal } = stage
  const args = ['--nodes', String(VM_COUNT)]
  const wherry = await startLocalWherry({ args, signal, deadlineMs: START_MS })
  stage.onEnd(() => wherry.dispose())
  const cluster = watchCluster(wherry.ready.kubeconfig, NAMESPACE)
  stage.onEnd(async () => cluster.close())
  const kubectl: Scene['kubectl'] = (args) =>
    wherry.mustKubectl(`${args} --namespace ${NAMESPACE}`, { timeoutMs: ROLLOUT_S * 1000 + 10_000 })
  const scene: Scene = { wherry, cluster, kubectl }
  await deploy(scene)
  const site = { url: await urlOf(scene) }
  const container = podsOf(cluster, 'model-api')[0]
  const hasDatabase = podsOf(cluster, DATABASE).length > 0
  const vm = podsOf(cluster, hasDatabase ? DATABASE : 'frontend')[0]?.spec.nodeName
  if (!container || !vm) throw new Error('the app does not run')
  const layout = layoutOf(cluster, container, vm)
  let before = 0
  const act = await underLoad(stage, { name: 'cluster', site }, async (book) => {
    await crashContainer(scene, book, container)
    await calm(stage)
    if (hasDatabase) before = await keptAt(site.url)
    await killVm(scene, book, vm)
  })
  const kept = hasDatabase && { before, after: await keptAt(site.url) }
  const transcript: Act['transcript'] = []
  for (const command of TRANSCRIPT) {
    const output = await wherry.mustKubectl(command.replace('kubectl ', ''))
    transcript.push({ command, output: output.trimEnd() })
  }
  return { ...act, machines: machinesOf(wherry), layout, transcript, ...(kept && { kept }) }
}

function machinesOf({ ready }: LocalWherry): string {
  return ready.machines === 'docker'
    ? 'a VM is a set of network namespaces with a Docker Engine of its own'
    : 'a VM is a process group on this machine, a container a process of its image'
}

/** The app with a backup of everything, each on another VM. */
async function deploy({ wherry, cluster, kubectl }: Scene): Promise<void> {
  for (const file of MANIFESTS) await wherry.mustKubectl(`apply --filename ${file}`)
  for (const app of APPS) await kubectl(`scale deployment/${app} --replicas=${REPLICAS}`)
  const all = await kubectl('get deployments --output name')
  if (all.includes(`/${DATABASE}`)) {
    await kubectl(`rollout status deployment/${DATABASE} --timeout=${ROLLOUT_S}s`)
  }
  for (const app of APPS) {
    for (let attempt = 0; attempt === 0 || vmsOf(cluster, app).size < REPLICAS; attempt++) {
      if (attempt > ATTEMPTS_MAX) throw new Error(`the pods of ${app} do not spread`)
      // Both on one VM: the scheduler is asked again.
      if (attempt > 0) await kubectl(`rollout restart deployment/${app}`)
      await kubectl(`rollout status deployment/${app} --timeout=${ROLLOUT_S}s`)
      await cluster.when(
        `${REPLICAS} pods of ${app}`,
        () => podsOf(cluster, app).length >= REPLICAS,
      )
    }
  }
}

/** Where visitors of the app go, once somebody is there: the Ingress's address. */
async function urlOf({ wherry, kubectl }: Scene): Promise<string> {
  const path = '{.status.loadBalancer.ingress[0].ip}'
  const address = await eventually(
    'an address',
    () => kubectl(`get ingress mushroom --output jsonpath=${path}`),
    ANSWER_MS,
  )
  return eventually(
    'an answer',
    async () => {
      const url = wherry.urlOf(address)
      const answer = await fetch(url, { signal: AbortSignal.timeout(5000) })
      return answer.ok && url
    },
    ANSWER_MS,
  )
}

/** How many questions the database has. */
function keptAt(url: string): Promise<number> {
  return eventually('the database', async () => {
    const answer = await fetch(`${url}/api/questions`, { signal: AbortSignal.timeout(5000) })
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`)
    const { questions }: { questions: { total: number }[] } = JSON.parse(await answer.text())
    return questions[0]?.total
  })
}

function layoutOf(cluster: Cluster, container: Pod, vm: string): VmLayout[] {
  const nodes = cluster.nodes().map(({ metadata }) => metadata.name)
  return nodes.sort().map((name) => ({
    name,
    isLost: name === vm,
    containers: podsIn(cluster)
      .filter(({ spec }) => spec.nodeName === name)
      .map(({ metadata }) => ({
        name: metadata.labels?.['app'] ?? metadata.name,
        isBackup: false,
        isKilled: metadata.uid === container.metadata.uid,
      })),
  }))
}

async function crashContainer({ wherry, cluster }: Scene, book: Book, before: Pod): Promise<void> {
  const { name, uid } = before.metadata
  const victim = (): Pod | undefined => cluster.pods().find(({ metadata }) => metadata.uid === uid)
  const isStartedAgain = (): boolean => {
    const pod = victim()
    return pod !== undefined && restartsOf(pod) > restartsOf(before)
  }
  await cause(wherry, book, ['container-kill', `${NAMESPACE}/${name}`], {
    what: 'A container of model-api is killed',
    breaks: 'container',
  })
  await cluster.when(`${name} is started again`, isStartedAgain)
  book.write({ who: 'cluster', what: `${name}: its container is started again` })
  await cluster.when(`${name} is ready`, () => isStartedAgain() && isReadyPod(victim()))
  book.write({ who: 'cluster', what: `${name} is ready and gets requests again` })
}

async function killVm({ wherry, cluster }: Scene, book: Book, vm: string): Promise<void> {
  const node = cluster.nodes().find(({ metadata }) => metadata.name === vm)
  const lost = new Set(
    podsIn(cluster)
      .filter(({ spec }) => spec.nodeName === vm)
      .map(({ metadata }) => metadata.uid),
  )
  const isNoticed = (): boolean =>
    !isNodeReady(cluster.nodes().find(({ metadata }) => metadata.uid === node?.metadata.uid))
  const remaining = (app: string): number =>
    podsOf(cluster, app).filter(({ metadata }) => !lost.has(metadata.uid)).length
  const isBack = (): boolean => {
    const now = cluster.nodes().find(({ metadata }) => metadata.name === vm)
    return isNodeReady(now) && now?.metadata.uid !== node?.metadata.uid
  }
  const pods = podsIn(cluster).length
  const hadDatabase = podsOf(cluster, DATABASE).length > 0
  const notice = async (): Promise<void> => {
    await cluster.when(`${vm} is not ready`, isNoticed)
    book.write({ who: 'cluster', what: `Node ${vm} is not ready: its pods are replaced` })
  }
  const kill = cause(wherry, book, ['vm-kill', vm], {
    what: `The power of a VM fails, with ${lost.size} of the app's ${pods} pods on it`,
    breaks: 'vm',
  })
  await Promise.all([kill, notice()])
  const replaced = async (): Promise<void> => {
    await cluster.when('other pods', () => APPS.every((app) => remaining(app) >= REPLICAS))
    book.write({ who: 'cluster', what: 'As many pods as before are ready, on the other VMs' })
  }
  const moved = async (): Promise<void> => {
    if (!hadDatabase) return
    await cluster.when('the database', () => remaining(DATABASE) > 0, MOVED_MS)
    book.write({ who: 'cluster', what: 'The database has moved, with its disk' })
  }
  await Promise.all([replaced(), moved()])
  await cluster.when(`a new ${vm}`, isBack)
  book.write({ who: 'cluster', what: `A new VM has taken the place of ${vm}` })
}

/** By `npm run fault`, as people do it. */
function cause(
  { home }: LocalWherry,
  book: Book,
  [name, target]: [FaultName, string],
  { what, breaks }: { what: string; breaks: 'container' | 'vm' },
): Promise<void> {
  const command = `npm run fault -- ${name} ${target}`
  return book.breaks({ what, command, breaks }, async () => {
    const program = join(ROOT, 'emulator', 'fault.ts')
    await run(process.execPath, [program, name, target], {
      env: { ...process.env, WHERRY_HOME: home },
    })
  })
}

function podsIn(cluster: Cluster): Pod[] {
  return cluster.pods().filter(isServing)
}

function podsOf(cluster: Cluster, app: string): Pod[] {
  return podsIn(cluster).filter(({ metadata }) => metadata.labels?.['app'] === app)
}

function vmsOf(cluster: Cluster, app: string): Set<string | undefined> {
  return new Set(podsOf(cluster, app).map(({ spec }) => spec.nodeName))
}

function isReadyPod(pod: Pod | undefined): boolean {
  return pod !== undefined && isServing(pod)
}
