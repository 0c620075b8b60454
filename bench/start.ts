// From `kubectl apply` of a Deployment until all its pods serve, images present, on the whole local
// system; beside it, in turns, the same containers by hand on the same VMs: `docker run`, or plain processes
// where containers are processes. `npm run bench -- start [--runs N] [--replicas 1,10]`
// WHERRY_MACHINES=process or docker says which VMs; else the best that the machine can have.

import { parseArgs } from 'node:util'
import { startLocalWherry, type LocalWherry } from '#test/local-wherry.ts'
import { watchCluster } from './failover/cluster.ts'
import type { Measure, Measurement, Section } from './measurement.ts'
import { dockerRun, plainSpawn, type ByHand } from './start/by-hand.ts'
import { addressOnHost, removeDeployment, startDeployment, type Stage } from './start/deployment.ts'
import type { Start } from './start/deployment.ts'
import { startProber } from './start/prober.ts'
import { startSection } from './start/section.ts'
import { localVms } from './support/local-vms.ts'
import { wantedMachines } from './support/machines.ts'
import { median } from './support/median.ts'

const RUNS = 10
const REPLICAS = [1, 10]

interface Round {
  replicas: number
  cluster: Start
  byHand: number
}

export const section: Section = { page: 'performance', name: 'start', text: startSection }

export const measure: Measure = async (args) => {
  const { runs, replicas } = readOptions(args)
  const wherry = await startLocalWherry({
    env: await wantedMachines(),
    deadlineMs: 240_000,
  })
  try {
    const rounds = await compare(wherry, runs, replicas)
    return replicas.flatMap((count) => measurementsOf(rounds, count, wherry))
  } finally {
    await wherry.dispose()
  }
}

async function compare(
  wherry: LocalWherry,
  runs: number,
  replicas: readonly number[],
): Promise<Round[]> {
  const isDocker = wherry.ready.machines === 'docker'
  const vms = isDocker ? localVms(wherry.home) : []
  const byHand = isDocker ? await dockerRun(vms) : plainSpawn()
  const prober = startProber(vms[0]?.enterNetwork)
  const cluster = watchCluster(wherry.ready.kubeconfig)
  const addressOf: Stage['addressOf'] = (pod) => addressOnHost(wherry, pod)
  const stage = { wherry, cluster, prober, addressOf }
  const rounds: Round[] = []
  try {
    // Once for nothing: images come, kubectl learns what the API has.
    for (const count of replicas) await playRound(stage, byHand, count)
    for (let run = 0; run < runs; run++) {
      for (const count of replicas) {
        const round = await playRound(stage, byHand, count)
        rounds.push(round)
        tell(run, round, byHand)
      }
    }
    return rounds
  } finally {
    cluster.close()
    prober.close()
    await byHand.close()
  }
}

async function playRound(stage: Stage, byHand: ByHand, replicas: number): Promise<Round> {
  const cluster = await startDeployment(stage, replicas)
  await removeDeployment(stage)
  const seconds = await byHand.start(replicas)
  await byHand.clear()
  return { replicas, cluster, byHand: seconds }
}

function measurementsOf(
  rounds: readonly Round[],
  replicas: number,
  { ready }: LocalWherry,
): Measurement[] {
  const mine = rounds.filter((round) => round.replicas === replicas)
  const hand = ready.machines === 'docker' ? 'docker-run' : 'spawn'
  const note = `${mine.length} runs, images present, ${ready.machines} VMs`
  const serving = mine.map(({ cluster }) => cluster.serving)
  const alone = mine.map(({ byHand }) => byHand)
  const seconds = (name: string, value: number, about = note): Measurement => ({
    name: `start.${replicas}.${name}`,
    unit: 's',
    value,
    note: about,
  })
  const part = (name: keyof Start, about: string): Measurement =>
    seconds(`${name}.median`, median(mine.map(({ cluster }) => cluster[name])), about)
  return [
    seconds('median', median(serving)),
    seconds('worst', Math.max(...serving)),
    seconds(`${hand}.median`, median(alone)),
    seconds(`${hand}.worst`, Math.max(...alone)),
    {
      name: `start.${replicas}.ratio`,
      unit: 'ratio',
      value: median(serving) / median(alone),
      note: `median ÷ ${hand}.median`,
    },
    part('applied', 'kubectl itself'),
    part('bound', 'all pods have a node, as a watch tells'),
    part('ready', 'all pods are Ready, as a watch tells'),
  ]
}

function tell(run: number, { replicas, cluster, byHand }: Round, { name }: ByHand): void {
  const { applied, bound, ready, serving } = cluster
  const shown = (value: number): string => `${value.toFixed(2)} s`
  process.stderr.write(
    `run ${run + 1}  ${replicas} replicas: serving ${shown(serving)} (applied ${shown(applied)}, bound ` +
      `${shown(bound)}, ready ${shown(ready)}), ${name} ${shown(byHand)}\n`,
  )
}

function readOptions(args: readonly string[]): {
  runs: number
  replicas: number[]
} {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runs: { type: 'string', default: String(RUNS) },
      replicas: { type: 'string', default: REPLICAS.join(',') },
    },
  })
  const runs = Number(values.runs)
  const replicas = values.replicas.split(',').map(Number)
  if (!Number.isInteger(runs) || runs < 1) throw new Error('--runs takes a whole number from 1 on')
  if (!replicas.every((count) => Number.isInteger(count) && count > 0)) {
    throw new Error('--replicas takes whole numbers from 1 on, with commas between')
  }
  return { runs, replicas }
}
