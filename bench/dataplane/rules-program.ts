// Measures, in its own network namespace, what rules for many Services cost: all at once, and one change.
// Tells whoever started it the result over the channel.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openAddressPool } from '#agent/network/address-pool.ts'
import { createKernelNetwork } from '#agent/network/kernel/kernel-network.ts'
import { run } from '#agent/network/kernel/programs.ts'
import type { EndpointSlice } from '#shared/api/endpoint-slice.ts'
import { anEndpoint, aService, aSlice } from '#test/agent/network/objects.ts'

export interface RulesResult {
  full: { ms: number; cpuMs: number }
  one: { ms: number; nftMs: number; cpuMs: number }
}

/** The kernel counts the time of ended children in hundredths of a second. */
const TICK_MS = 10
/** Changes before those that count: an agent runs for long. */
const WARM_UP = 10
const NODE = { name: 'one', ip: '10.128.0.11', podRange: '10.4.1.0/24' }

const count = Number(process.argv[2])
const changes = Number(process.argv[3])
const folder = mkdtempSync(join(tmpdir(), 'wherry-rules-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
const network = await createKernelNetwork({
  node: NODE,
  pool: openAddressPool(NODE.podRange, join(folder, 'addresses.json')),
  stateDir: folder,
  log: { info: () => undefined, warn: () => undefined, error: console.error },
  now: () => Date.now(),
})

const sliceOf = (index: number, shift = 0): EndpointSlice =>
  aSlice(
    `s${index}`,
    [1, 2, 3].map((pod) =>
      anEndpoint(`10.5.${(index + pod) % 250}.${1 + ((index + shift * pod) % 250)}`, 'two'),
    ),
  )
const services = Array.from({ length: count }, (_, index) =>
  aService(`s${index}`, `34.${119 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`),
)
const slices = services.map((_, index) => sliceOf(index))

/** CPU of this process and of the programs that it ran. */
function cpuMs(): number {
  const own = process.cpuUsage()
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ') ?? []
  const children = (Number(fields[13]) + Number(fields[14])) * TICK_MS
  return (own.user + own.system) / 1000 + children
}

async function timed(work: () => Promise<void>): Promise<{ ms: number; cpuMs: number }> {
  const [start, cpu] = [performance.now(), cpuMs()]
  await work()
  return { ms: performance.now() - start, cpuMs: cpuMs() - cpu }
}

const apply = (): Promise<void> =>
  network.apply({ pods: [], services, endpointSlices: slices, networkPolicies: [] })
const full = await timed(apply)
for (let change = 0; change < WARM_UP; change++) {
  slices[0] = sliceOf(0, 100 + change)
  await apply()
}
const times: number[] = []
const cpu = await timed(async () => {
  for (let change = 0; change < changes; change++) {
    const index = change % count
    slices[index] = sliceOf(index, change + 1)
    times.push((await timed(apply)).ms)
  }
})
// What it costs to start nft for a change of this size, at this size of the table.
const alone: number[] = []
for (let change = 0; change < changes; change++) {
  const verb = change % 2 === 0 ? 'add' : 'delete'
  const element = `${verb} element ip wherry endpoints { 10.0.0.1 . tcp . 1 . 0 : 10.0.0.2 . 1 }\n`
  const { ms } = await timed(async () => void (await run('nft', ['-f', '-'], element)))
  alone.push(ms)
}
const middle = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1] ?? 0
const result: RulesResult = {
  full,
  one: { ms: middle(times), nftMs: middle(alone), cpuMs: cpu.cpuMs / changes },
}
process.send?.(result, () => process.exit(0))
