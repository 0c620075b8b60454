// How long a function takes from the start of its process to its first answer, how large its bundle
// is, and which packages make it so: `npm run bench -- coldstart [--runs N]`.

import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { FUNCTIONS, type FunctionName } from '#functions/environment.ts'
import { startDeployed } from '#test/deployed.ts'
import { bundle, ROOT, type Bundle } from '../infra/bundle.ts'
import type { Measure, Measurement } from './measurement.ts'

const DIST = join(ROOT, 'dist', `coldstart-${process.pid}`)
const RUNS = 5
const HEAVY_SHOWN = 3

/** Nobody listens there: the first answer, 401, needs no data. */
const NOBODY = '127.0.0.1:9'
const ACCOUNT = 'a@p.iam.gserviceaccount.com'

const ENVIRONMENT = {
  FIRESTORE_EMULATOR_HOST: NOBODY,
  PUBSUB_EMULATOR_HOST: NOBODY,
  WHERRY_PROJECT: 'demo-wherry',
  WHERRY_REGION: 'us-east1',
  WHERRY_API_URL: 'https://api.example',
  WHERRY_OWN_URL: 'https://own.example',
  WHERRY_INVOKER: ACCOUNT,
  WHERRY_QUEUE: 'wherry',
  WHERRY_TIMER_ACCOUNT: ACCOUNT,
  WHERRY_NETWORK: 'wherry',
  WHERRY_SUBNETWORK: 'wherry',
  WHERRY_POD_RANGE: 'pods',
  WHERRY_NODE_ACCOUNT: ACCOUNT,
  WHERRY_AGENT_IMAGE: `us-docker.pkg.dev/demo/wherry-agent/agent@sha256:${'0'.repeat(64)}`,
}

export const measure: Measure = async (args) => {
  const at = args.indexOf('--runs')
  const runs = at < 0 ? RUNS : Number(args[at + 1])
  if (!Number.isInteger(runs) || runs < 1) throw new Error('--runs takes a whole number from 1 on')
  const found: Measurement[] = []
  try {
    for (const name of FUNCTIONS) found.push(...(await measureOne(name, runs)))
  } finally {
    rmSync(DIST, { recursive: true, force: true })
  }
  return found
}

async function measureOne(name: FunctionName, runs: number): Promise<Measurement[]> {
  const made = await bundle(name, DIST)
  const times: number[] = []
  let loaded: string[] = []
  for (let run = 0; run < runs; run++) {
    const deployed = await startDeployed(name, made.dir, ENVIRONMENT)
    if (deployed.firstStatus !== 401) throw new Error(`${name} answered ${deployed.firstStatus}`)
    times.push(deployed.coldStartMs)
    loaded = await deployed.stop()
  }
  times.sort((left, right) => left - right)
  const inside = made.contents
    .slice(0, HEAVY_SHOWN)
    .map(({ what, bytes }) => `${what} ${Math.round(bytes / 1024)} KB`)
  return [
    { name: `${name}.bundle`, unit: 'bytes', value: made.bytes, note: inside.join(', ') },
    {
      name: `${name}.start.median`,
      unit: 'ms',
      value: times[Math.floor(times.length / 2)] ?? 0,
      note: `${runs} runs; ${importTimes(made)}`,
    },
    { name: `${name}.start.max`, unit: 'ms', value: times.at(-1) ?? 0 },
    {
      name: `${name}.packages`,
      unit: 'count',
      value: loaded.length,
      note: loaded.includes('@google-cloud/compute') ? 'with the Compute client' : '',
    },
  ]
}

/** Each of its packages loaded alone in a process of its own. */
function importTimes({ dir, packages }: Bundle): string {
  const times = Object.keys(packages)
    // All of the Compute clients at once is what nobody does: each is loaded when it is used.
    .filter((name) => name !== '@google-cloud/compute')
    .map((name) => {
      const code = `const t=performance.now();await import(${JSON.stringify(name)});console.log(performance.now()-t)`
      const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', code], {
        cwd: dir,
        encoding: 'utf8',
      })
      return { name, ms: Math.round(Number(stdout)) }
    })
    .sort((left, right) => right.ms - left.ms)
  return `alone: ${times.map(({ name, ms }) => `${name} ${ms} ms`).join(', ')}`
}
