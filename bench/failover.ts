// What visitors notice when something dies, and how soon it is made good: the whole local system, a load
// generator, one fault after the other.
// `npm run bench -- failover [--runs N] [--only SCENARIO,…] [--kills N] [--markdown [FILE]]`; the scenario
// `disk` kills the VM under a database that is written to, again and again.

import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startLocalWherry, type LocalWherry } from '#test/local-wherry.ts'
import { watchCluster } from './failover/cluster.ts'
import { diskMeasurements, killUnderWrites, type Kill } from './failover/database.ts'
import { document } from './failover/document.ts'
import { startLoad } from './failover/load.ts'
import { plot } from './failover/plot.ts'
import { measurementsOf, runOf, type Run } from './failover/results.ts'
import {
  play,
  SCENARIOS,
  untilCalm,
  type Hands,
  type Scenario,
  type ScenarioName,
} from './failover/scenarios.ts'
import type { Measure, Measurement } from './measurement.ts'

const PER_SECOND = 50
const RUNS = 3
/** The scenario that is not like the others, and how many VMs it kills. */
const DISK = 'disk'
const KILLS = 20
/** Traffic before the fault, and after all is well. */
const BEFORE_MS = 1000
const AFTER_MS = 3000
/** Images are built at the first start. */
const START_MS = 300_000
const DOCUMENT = join(import.meta.dirname, '..', 'docs', 'failover.md')

export const measure: Measure = async (args) => {
  const { runs: count, scenarios, markdown, kills, record } = readOptions(args)
  const wherry = await startLocalWherry({ deadlineMs: START_MS })
  const runs: Run[] = []
  const disk: Measurement[] = []
  try {
    if (kills > 0) {
      const hands = { wherry, fault: faultsOf(wherry), tell: tellKill }
      disk.push(...diskMeasurements(await killUnderWrites(hands, kills)))
    }
    const cluster = watchCluster(wherry.ready.kubeconfig)
    const { machines } = wherry.ready
    const kubectl = (command: string): Promise<string> => wherry.mustKubectl(command)
    const hands: Hands = { cluster, machines, kubectl, fault: faultsOf(wherry) }
    await wherry.mustKubectl(`patch deployment web -p '${JSON.stringify(PROBED)}'`)
    await wherry.mustKubectl('rollout status deployment web --timeout=120s')
    for (let turn = 0; turn < count; turn++) {
      for (const name of scenarios.filter((each) => canHave(each, machines))) {
        const run = await runOnce(wherry, hands, name, turn)
        runs.push(run)
        tell(turn, run)
        if (record) appendFileSync(record, `${JSON.stringify(run)}\n`)
      }
    }
    cluster.close()
    if (markdown) writeDocument(markdown, runs, count, wherry.ready.machines)
  } finally {
    await wherry.dispose()
  }
  return [...measurementsOf(runs), ...disk]
}

/** The lecture's Deployment has no readiness probe: a new pod gets requests before it listens. */
const PROBED = {
  spec: {
    template: {
      spec: {
        containers: [
          { name: 'web', readinessProbe: { httpGet: { path: '/', port: 8080 }, periodSeconds: 1 } },
        ],
      },
    },
  },
}

function canHave(name: ScenarioName, machines: Hands['machines']): boolean {
  const scenario: Scenario | undefined = SCENARIOS.find((each) => each.name === name)
  return scenario?.needs !== 'docker' || machines === 'docker'
}

async function runOnce(
  { ready }: LocalWherry,
  hands: Hands,
  name: ScenarioName,
  turn: number,
): Promise<Run> {
  await untilCalm(hands)
  const load = startLoad(`${ready.app}/api/whoami`, PER_SECOND)
  try {
    await sleep(BEFORE_MS)
    const outcome = await play(name, hands, turn)
    await sleep(AFTER_MS)
    // What still goes on afterwards, such as a new VM that comes up, must cost nobody anything.
    await untilCalm(hands)
    await load.stop()
    return runOf(name, outcome, load.records)
  } finally {
    await load.stop()
  }
}

function faultsOf({ ready, home }: LocalWherry): Hands['fault'] {
  const token = readFileSync(join(home, 'admin-token'), 'utf8').trim()
  return async (fault, target) => {
    const response = await fetch(`${ready.gcloud}/faults`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({ fault, target }),
    })
    if (!response.ok) throw new Error(`${fault} ${target}: ${await response.text()}`)
  }
}

function readOptions(args: readonly string[]): {
  runs: number
  scenarios: ScenarioName[]
  markdown: string | undefined
  kills: number
  record: string | undefined
} {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: String(RUNS) },
      kills: { type: 'string', default: String(KILLS) },
      only: { type: 'string' },
      record: { type: 'string' },
      markdown: { type: 'boolean', default: false },
    },
  })
  const runs = Number(values.runs)
  if (!Number.isInteger(runs) || runs < 1) throw new Error('--runs takes a whole number from 1 on')
  const kills = Number(values.kills)
  if (!Number.isInteger(kills) || kills < 1)
    throw new Error('--kills takes a whole number from 1 on')
  const all = SCENARIOS.map(({ name }) => name)
  const wanted = values.only?.split(',')
  const strangers = wanted?.filter((name) => ![...all, DISK].includes(name)) ?? []
  if (strangers.length > 0) {
    throw new Error(`no scenario ${strangers.join(', ')}; there are: ${[...all, DISK].join(', ')}`)
  }
  return {
    runs,
    scenarios: all.filter((name) => !wanted || wanted.includes(name)),
    kills: !wanted || wanted.includes(DISK) ? kills : 0,
    record: values.record,
    markdown: values.markdown ? (positionals[0] ?? DOCUMENT) : undefined,
  }
}

function tellKill({ moved }: Kill): void {
  process.stderr.write(`disk              moved ${moved.toFixed(1)} s\n`)
}

function tell(turn: number, run: Run): void {
  const seconds = (value: number | undefined): string =>
    value === undefined ? '–' : `${value.toFixed(1)} s`
  process.stderr.write(
    `run ${turn + 1}  ${run.scenario.padEnd(16)} detected ${seconds(run.detected)}, out of rotation ` +
      `${seconds(run.outOfRotation)}, ready ${seconds(run.ready)}, replaced ${seconds(run.replaced)}, back ${seconds(run.back)}, ` +
      `lost ${run.lost} of ${run.requests}${run.failures.map((text) => `; ${text}`).join('')}\n`,
  )
}

function writeDocument(path: string, runs: readonly Run[], count: number, machines: string): void {
  mkdirSync(dirname(path), { recursive: true })
  const memory = Math.round(totalmem() / 2 ** 30)
  const about = {
    machine: `${availableParallelism()} cores and ${memory} GB (${process.platform} ${process.arch})`,
    day: new Date().toISOString().slice(0, 10),
    perSecond: PER_SECOND,
    runs: count,
    machines: `emulated VMs with ${machines}`,
  }
  writeFileSync(path, document(runs, about))
  writeFileSync(join(dirname(path), 'failover.svg'), plot(runs))
}
