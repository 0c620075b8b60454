// How long the cluster's DNS of a VM is silent while its agent restarts, and whether anybody hears that a name
// is not there which is: `npm run bench -- dns [--runs N]`. Needs VMs with a Docker Engine.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { DNS_SERVICE_IP } from '#shared/api/service-addresses.ts'
import { runFault } from '#test/faults.ts'
import { eventually, startLocalWherry } from '#test/local-wherry.ts'
import type { Told } from './dns/asker-program.ts'
import { dnsSection } from './dns/section.ts'
import type { Measure, Section } from './measurement.ts'
import { localVms } from './support/local-vms.ts'
import { median } from './support/median.ts'

const RUNS = 5
const NAME = 'web.default.svc.cluster.local'
const PROGRAM = join(import.meta.dirname, 'dns', 'asker-program.ts')
/** Before the agent is killed, and after it answers again. */
const AROUND_MS = 2000

export const section: Section = { page: 'networking', name: 'dns', text: dnsSection }

export const measure: Measure = async (args) => {
  const { values } = parseArgs({
    args: [...args],
    options: { runs: { type: 'string', default: String(RUNS) } },
  })
  const runs = Number(values.runs)
  if (!Number.isInteger(runs) || runs < 1) throw new Error('--runs takes a whole number from 1 on')
  const wherry = await startLocalWherry({
    args: ['--nodes', '1'],
    env: { WHERRY_MACHINES: 'docker' },
    deadlineMs: 240_000,
  })
  const [vm] = localVms(wherry.home)
  if (!vm) throw new Error('no VM runs')
  const address = await wherry.mustKubectl('get service web -o jsonpath={.spec.clusterIP}')
  const [enter = '', ...rest] = vm.enterNetwork
  const command = [...rest, process.execPath, PROGRAM, DNS_SERVICE_IP, NAME, address]
  const asker = spawn(enter, command, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const told: Told[] = []
  asker.on('message', (each: Told) => void told.push(each))
  const lastRight = (): number => told.findLast(({ isRight }) => isRight)?.at ?? 0
  const silences: number[] = []
  try {
    await eventually('an answer', async () => lastRight() > 0, 60_000)
    for (let run = 0; run < runs; run++) {
      await sleep(AROUND_MS)
      const from = told.length - 1
      const killedAt = Date.now()
      await runFault(wherry, 'agent-kill', vm.name)
      await eventually('it answers again', async () => lastRight() > killedAt + AROUND_MS, 60_000)
      await sleep(AROUND_MS)
      const right = told.slice(from).filter(({ isRight }) => isRight)
      const gaps = right.map(({ at }, index) => at - (right[index - 1]?.at ?? at))
      silences.push(Math.max(...gaps) / 1000)
      process.stderr.write(`run ${run + 1}: silent for ${silences.at(-1)?.toFixed(2)} s\n`)
    }
  } finally {
    asker.disconnect()
    await wherry.dispose()
  }
  const note = `${runs} restarts of an agent that was killed`
  return [
    { name: 'dns.silent.median', unit: 's', value: median(silences), note },
    { name: 'dns.silent.worst', unit: 's', value: Math.max(...silences), note },
    {
      name: 'dns.wrong',
      unit: 'count',
      value: told.filter(({ isRight }) => !isRight).length,
      note: `of ${told.length} answers`,
    },
  ]
}
