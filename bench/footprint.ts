// What an agent takes of its VM, without pods and with 30, and what an idle cluster costs a day.
// `npm run bench -- footprint [--minutes N] [--pods N]`. Needs VMs with a Docker Engine.
//
// The VM belongs to a whole local system; the day passes in the simulation, where everything that Google
// bills is counted. That the real system writes nothing either is looked at: its version stays.

import { parseArgs } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually, startLocalWherry, type LocalWherry } from '#test/local-wherry.ts'
import { cpuSeconds, memoryOf } from './footprint/processes.ts'
import { footprintSection } from './footprint/section.ts'
import { idleDay } from './ledger.ts'
import type { Measure, Measurement, Section } from './measurement.ts'
import { agentOf, engineProcesses, localVms, type LocalVm } from './support/local-vms.ts'

const MINUTES = 5
const PODS = 30
/** After the last change: reports are out, caches are filled. */
const SETTLE_MS = 30_000
const READY_MS = 300_000

export const section: Section = {
  page: 'performance',
  name: 'footprint',
  text: footprintSection,
}

export const measure: Measure = async (args) => {
  const { minutes, pods } = readOptions(args)
  return [...(await measureAgent(minutes, pods)), ...(await measureDay())]
}

async function measureAgent(minutes: number, pods: number): Promise<Measurement[]> {
  const wherry = await startLocalWherry({
    args: ['--nodes', '1'],
    env: { WHERRY_MACHINES: 'docker' },
    deadlineMs: 240_000,
  })
  try {
    const [vm] = localVms(wherry.home)
    if (!vm) throw new Error('no VM runs')
    await wherry.mustKubectl('delete deployments,services -l run=web')
    await wherry.mustKubectl('delete deployment web --ignore-not-found')
    await untilPods(wherry, 0)
    const idle = await watchVm(wherry, vm, 'idle', minutes)
    await wherry.mustKubectl('apply -f -', { input: deploymentOf(pods) })
    await untilPods(wherry, pods)
    return [...idle, ...(await watchVm(wherry, vm, `pods${pods}`, minutes))]
  } finally {
    await wherry.dispose()
  }
}

/** Lets it rest, and looks at it for a while. Error: something was written meanwhile. */
async function watchVm(
  wherry: LocalWherry,
  vm: LocalVm,
  name: string,
  minutes: number,
): Promise<Measurement[]> {
  await sleep(SETTLE_MS)
  const before = await versionOf(wherry)
  const parts = { '': [agentOf(vm)], '.engine': engineProcesses(vm) }
  const begun = Object.values(parts).map(cpuSeconds)
  const seconds = minutes * 60
  await sleep(seconds * 1000)
  const note = `${minutes} minutes`
  const measurements = Object.entries(parts).flatMap(([part, pids], index): Measurement[] => {
    const { pss, rss } = memoryOf(pids)
    const busy = cpuSeconds(pids) - (begun[index] ?? 0)
    const base = `footprint.${name}${part}`
    return [
      { name: `${base}.pss`, unit: 'bytes', value: pss, note: `${pids.length} processes` },
      { name: `${base}.rss`, unit: 'bytes', value: rss },
      { name: `${base}.cpu`, unit: '% of a core', value: (busy / seconds) * 100, note },
    ]
  })
  const after = await versionOf(wherry)
  if (after !== before) throw new Error(`an idle cluster was written to: ${before} → ${after}`)
  return measurements
}

/** Of the whole cluster: each commit makes a new one. */
async function versionOf(wherry: LocalWherry): Promise<string> {
  const text = await wherry.mustKubectl('get --raw /api/v1/nodes?limit=1')
  const { metadata }: { metadata: { resourceVersion: string } } = JSON.parse(text)
  return metadata.resourceVersion
}

async function untilPods(wherry: LocalWherry, count: number): Promise<void> {
  await eventually(
    `${count} ready pods`,
    async () => {
      const lines = (await wherry.mustKubectl('get pods --no-headers')).split('\n').filter(Boolean)
      return lines.length === count && lines.every((line) => /\s1\/1\s+Running\s/.test(line))
    },
    READY_MS,
  )
}

function deploymentOf(replicas: number): string {
  const container = {
    name: 'web',
    image: 'dlops/tic-tac-toe',
    imagePullPolicy: 'IfNotPresent',
    ports: [{ containerPort: 8080 }],
    readinessProbe: { httpGet: { path: '/healthz', port: 8080 } },
  }
  return JSON.stringify({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'footprint' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'footprint' } },
      template: {
        metadata: { labels: { app: 'footprint' } },
        spec: { containers: [container] },
      },
    },
  })
}

async function measureDay(): Promise<Measurement[]> {
  const { all, agents } = await idleDay()
  return Object.entries({ ...all, 'agent-requests': agents }).map(([name, value]) => ({
    name: `footprint.day.${name}`,
    unit: 'count',
    value,
  }))
}

function readOptions(args: readonly string[]): { minutes: number; pods: number } {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: String(MINUTES) },
      pods: { type: 'string', default: String(PODS) },
    },
  })
  const minutes = Number(values.minutes)
  if (!(minutes > 0)) throw new Error('--minutes takes a number above 0')
  const pods = Number(values.pods)
  if (!Number.isInteger(pods) || pods < 1 || pods > 100) {
    throw new Error('--pods takes a whole number from 1 to 100')
  }
  return { minutes, pods }
}
