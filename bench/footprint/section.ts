// What docs/performance.md says of what an agent and an idle cluster cost, from one run of the measurement.
// Edit here, never there.

import type { Measurement } from '../measurement.ts'
import { machineAndDay, noteOf, table, valuesOf } from '../support/page.ts'

/** Markdown. */
export function footprintSection(measurements: readonly Measurement[]): string {
  const valueOf = valuesOf(measurements)
  const value = (name: string): number => valueOf(`footprint.${name}`)
  const row = (title: string, of: string): string[] => [
    title,
    `${Math.round(value(`${of}.pss`) / 2 ** 20)} MiB`,
    `${Math.round(value(`${of}.rss`) / 2 ** 20)} MiB`,
    `${value(`${of}.cpu`).toFixed(1)} %`,
  ]
  const [count = '?'] = measurements.flatMap(
    ({ name }) => /^footprint\.pods(\d+)\.pss$/.exec(name)?.[1] ?? [],
  )
  const rows = [
    row('agent, no pods', 'idle'),
    row(`agent, ${count} pods`, `pods${count}`),
    row('Docker Engine, no pods', 'idle.engine'),
    row(`Docker Engine, ${count} pods`, `pods${count}.engine`),
  ]
  const day = (['writes', 'deletes', 'reads', 'messages', 'calls', 'agent-requests'] as const).map(
    (name) => [DAY[name], String(value(`day.${name}`))],
  )
  return `On ${machineAndDay()}; processor time as a share of one core, over ${noteOf(measurements, 'footprint.idle.cpu')}:

${table(['', 'PSS', 'RSS', 'CPU'], rows)}

A day of an idle cluster with 10 nodes, counted exactly, in the simulation:

${table(['', 'a day'], day)}`
}

const DAY = {
  writes: 'Firestore writes',
  deletes: 'Firestore deletes',
  reads: 'Firestore reads',
  messages: 'Pub/Sub messages',
  calls: 'calls of functions',
  'agent-requests': 'of these, requests of agents',
} as const
