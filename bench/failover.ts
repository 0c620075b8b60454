// What visitors notice when something dies, and how soon it is made good: the whole local system, a load
// generator, one fault after the other.
// `npm run bench -- failover [--runs N] [--only SCENARIO,…] [--kills N] [--markdown [FILE]]`; the scenario
// `disk` kills the VM under a database that is written to, again and again; `away` (only by name) causes
// every fault while the control plane is away for `--minutes N`. `--record FILE` keeps each run, and `--from FILE`
// makes the page of what was kept. `disk` has a section of docs/volumes.md.

import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startLocalWherry, type LocalWherry } from '#test/local-wherry.ts'
import { watchCluster } from './failover/cluster.ts'
import {
  diskMeasurements,
  diskSection,
  killUnderWrites,
  type DiskRuns,
  type Kill,
} from './failover/database.ts'
import { document } from './failover/document.ts'
import { startLoad } from './failover/load.ts'
import { plot } from './failover/plot.ts'
import { faultsWhileAway } from './failover/away.ts'
import {
  awayMeasurements,
  measurementsOf,
  runOf,
  type AwayRun,
  type Run,
} from './failover/results.ts'
import {
  canHave,
  play,
  SCENARIOS,
  untilCalm,
  untilForgotten,
  type Hands,
  type ScenarioName,
} from './failover/scenarios.ts'
import type { Measure } from './measurement.ts'
import { wantedMachines } from './support/machines.ts'
import { machine, today, writeSection } from './support/page.ts'

const PER_SECOND = 50
const RUNS = 3
/** The scenario that is not like the others, and how many VMs it kills. */
const DISK = 'disk'
const KILLS = 20
/** Every fault while the control plane is away: only when it is asked for, it takes a quarter of an hour. */
const AWAY = 'away'
const AWAY_MINUTES = 10
/** Traffic before the fault, and after all is well. */
const BEFORE_MS = 1000
const AFTER_MS = 3000
/** Images are built at the first start. */
const START_MS = 300_000
const DOCUMENT = join(import.meta.dirname, '..', 'docs', 'failover.md')

export const measure: Measure = async (args) => {
  const options = readOptions(args)
  const { runs, away, disk } = options.from ? readRecords(options.from) : await runAll(options)
  if (options.markdown && runs.length > 0) writeDocument(options.markdown, runs, away)
  const [killed] = disk
  if (options.markdown && killed) writeSection('volumes', 'disk', diskSection(killed))
  return [
    ...measurementsOf(runs),
    ...awayMeasurements(away),
    ...disk.flatMap((each) => diskMeasurements(each)),
  ]
}

interface Recorded {
  runs: Run[]
  away: AwayRun[]
  /** The VM under the database killed, again and again; one for each time that was done. */
  disk: DiskRuns[]
}

async function runAll(options: Options): Promise<Recorded> {
  const { runs: count, scenarios, kills, awayMinutes, record } = options
  const recorded: Recorded = { runs: [], away: [], disk: [] }
  const keep = (kind: keyof Recorded, run: Run | AwayRun | DiskRuns): void => {
    if (record) appendFileSync(record, `${JSON.stringify({ kind, run })}\n`)
  }
  const wherry = await startLocalWherry({ env: await wantedMachines(), deadlineMs: START_MS })
  try {
    const fault = faultsOf(wherry)
    if (kills > 0) {
      const killed = await killUnderWrites({ wherry, fault, tell: tellKill }, kills)
      recorded.disk.push(killed)
      keep('disk', killed)
    }
    if (awayMinutes > 0) {
      for (const run of await faultsWhileAway(wherry, { fault, probe: PROBED }, awayMinutes)) {
        recorded.away.push(run)
        tellAway(run)
        keep('away', run)
      }
    }
    if (scenarios.length > 0) {
      await playAll(wherry, { count, scenarios, fault }, (turn, run) => {
        recorded.runs.push(run)
        tell(turn, run)
        keep('runs', run)
      })
    }
  } finally {
    await wherry.dispose()
  }
  return recorded
}

async function playAll(
  wherry: LocalWherry,
  { count, scenarios, fault }: { count: number; scenarios: ScenarioName[]; fault: Hands['fault'] },
  onRun: (turn: number, run: Run) => void,
): Promise<void> {
  const { machines, kubeconfig } = wherry.ready
  const cluster = watchCluster(kubeconfig)
  const kubectl = (command: string): Promise<string> => wherry.mustKubectl(command)
  const hands: Hands = { cluster, machines, kubectl, fault }
  await kubectl(`patch deployment web -p '${JSON.stringify(PROBED)}'`)
  await kubectl('rollout status deployment web --timeout=120s')
  for (let turn = 0; turn < count; turn++) {
    for (const name of scenarios.filter((each) => canHave(each, machines))) {
      onRun(turn, await runOnce(wherry, hands, name, turn))
    }
  }
  cluster.close()
}

function readRecords(path: string): Recorded {
  const recorded: Recorded = { runs: [], away: [], disk: [] }
  for (const line of readFileSync(path, 'utf8').trim().split('\n')) {
    const { kind, run }: { kind: keyof Recorded; run: Run & AwayRun & DiskRuns } = JSON.parse(line)
    recorded[kind].push(run)
  }
  return recorded
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

async function runOnce(
  { ready }: LocalWherry,
  hands: Hands,
  name: ScenarioName,
  turn: number,
): Promise<Run> {
  await untilCalm(hands)
  await untilForgotten(hands)
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

interface Options {
  runs: number
  scenarios: ScenarioName[]
  markdown: string | undefined
  /** 0: the database is left out. */
  kills: number
  /** 0: the control plane stays. */
  awayMinutes: number
  /** A file to which each run is appended. */
  record: string | undefined
  /** Such a file: nothing is run. */
  from: string | undefined
}

function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      runs: { type: 'string', default: String(RUNS) },
      kills: { type: 'string', default: String(KILLS) },
      minutes: { type: 'string', default: String(AWAY_MINUTES) },
      only: { type: 'string' },
      record: { type: 'string' },
      from: { type: 'string' },
      markdown: { type: 'boolean', default: false },
    },
  })
  const whole = (name: 'runs' | 'kills' | 'minutes'): number => {
    const value = Number(values[name])
    if (Number.isInteger(value) && value >= 1) return value
    throw new Error(`--${name} takes a whole number from 1 on`)
  }
  const all = SCENARIOS.map(({ name }) => name)
  const known = [...all, DISK, AWAY]
  const wanted = values.only?.split(',')
  const strangers = wanted?.filter((name) => !known.includes(name)) ?? []
  if (strangers.length > 0) {
    throw new Error(`no scenario ${strangers.join(', ')}; there are: ${known.join(', ')}`)
  }
  return {
    runs: whole('runs'),
    scenarios: all.filter((name) => !wanted || wanted.includes(name)),
    kills: !wanted || wanted.includes(DISK) ? whole('kills') : 0,
    // Ten minutes are asked for by name.
    awayMinutes: wanted?.includes(AWAY) ? whole('minutes') : 0,
    record: values.record,
    from: values.from,
    markdown: values.markdown ? (positionals[0] ?? DOCUMENT) : undefined,
  }
}

function tellKill({ moved }: Kill): void {
  process.stderr.write(`disk              moved ${moved.toFixed(1)} s\n`)
}

function tellAway(run: AwayRun): void {
  process.stderr.write(
    `away   ${run.scenario.padEnd(16)} out of rotation ${run.outOfRotation.toFixed(1)} s, replaced ` +
      `${run.replaced.toFixed(1)} s after the return, lost ${run.lost} of ${run.requests}` +
      `${run.failures.map((text) => `; ${text}`).join('')}\n`,
  )
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

function writeDocument(path: string, runs: readonly Run[], away: readonly AwayRun[]): void {
  mkdirSync(dirname(path), { recursive: true })
  const about = { machine: machine(), day: today(), perSecond: PER_SECOND }
  writeFileSync(path, document(runs, away, about))
  writeFileSync(join(dirname(path), 'failover.svg'), plot(runs))
}
