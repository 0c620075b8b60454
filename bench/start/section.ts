// What docs/performance.md says of starts, from one run of the measurement. Edit here, never there.

import type { Measurement } from '../measurement.ts'
import { machineAndDay, noteOf, table, valuesOf } from '../support/page.ts'

/** Markdown. */
export function startSection(measurements: readonly Measurement[]): string {
  const counts = [...new Set(measurements.map(({ name }) => Number(name.split('.')[1])))]
  const hand = measurements.some(({ name }) => name.includes('.docker-run.'))
    ? 'docker-run'
    : 'spawn'
  const shown = hand === 'docker-run' ? '`docker run`' : 'plain processes'
  const value = valuesOf(measurements)
  const [runs = ''] = noteOf(measurements, `start.${counts[0]}.median`).split(',')
  const seconds = (name: string): string => `${value(name).toFixed(2)} s`
  const rows = counts.map((count) => {
    const of = `start.${count}`
    return [
      `${count} ${count === 1 ? 'replica' : 'replicas'}`,
      `${seconds(`${of}.median`)} (${seconds(`${of}.worst`)})`,
      `${seconds(`${of}.${hand}.median`)} (${seconds(`${of}.${hand}.worst`)})`,
      value(`${of}.ratio`).toFixed(1),
      seconds(`${of}.applied.median`),
      seconds(`${of}.bound.median`),
      seconds(`${of}.ready.median`),
    ]
  })
  const head = ['', 'serving', shown, 'ratio', 'kubectl ended', 'pods bound', 'pods Ready']
  return `Median (worst) of ${runs}, on ${machineAndDay()}:

${table(head, rows)}`
}
