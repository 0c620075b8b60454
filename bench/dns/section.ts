// What docs/networking.md says of names while an agent is away, from one run of the measurement. Edit here, never there.

import type { Measurement } from '../measurement.ts'
import { machineAndDay, noteOf, table, valuesOf } from '../support/page.ts'

/** Markdown. */
export function dnsSection(measurements: readonly Measurement[]): string {
  const value = valuesOf(measurements)
  const row = [
    `${value('dns.silent.median').toFixed(2)} s`,
    `${value('dns.silent.worst').toFixed(2)} s`,
    `${value('dns.wrong')} ${noteOf(measurements, 'dns.wrong')}`,
  ]
  return `${noteOf(measurements, 'dns.silent.median')}, on ${machineAndDay()}:

${table(['silence, median', 'worst', 'wrong answers'], [row])}`
}
