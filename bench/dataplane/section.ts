// What docs/networking.md says of the cost of Services, from one run of the measurement. Edit here, never there.

import type { Measurement } from '../measurement.ts'
import { machineAndDay, noteOf, table, valuesOf } from '../support/page.ts'

const WAYS = { nftables: 'nftables', proxy: 'userspace proxy of VMs without a network' } as const

/** Markdown. */
export function dataplaneSection(measurements: readonly Measurement[]): string {
  const value = valuesOf(measurements)
  const whole = (name: string): string =>
    Math.round(value(`dataplane.${name}`)).toLocaleString('en')
  const cell = (of: string): string =>
    `${value(`dataplane.${of}.ratio`).toFixed(2)} (${whole(`${of}.service.rate`)} against ` +
    `${whole(`${of}.direct.rate`)}; p99 ${value(`dataplane.${of}.service.p99`).toFixed(1)} against ` +
    `${value(`dataplane.${of}.direct.p99`).toFixed(1)} ms)`
  const traffic = Object.entries(WAYS).map(([way, title]) => [
    title,
    cell(`${way}.kept`),
    cell(`${way}.new`),
  ])
  const sizes = measurements.flatMap(
    ({ name }) => /^dataplane\.rules\.(\d+)\.full\.time$/.exec(name)?.[1] ?? [],
  )
  const pair = (of: string): string => `${whole(`${of}.time`)} ms, ${whole(`${of}.cpu`)} ms`
  const rules = sizes.map((size) => [
    Number(size).toLocaleString('en'),
    pair(`rules.${size}.full`),
    pair(`rules.${size}.one`),
  ])
  return `On ${machineAndDay()}; 16 connections, ${noteOf(measurements, 'dataplane.nftables.kept.ratio')}:

${table(['Service ÷ direct, requests/s', 'connections kept', 'a new one each'], traffic)}

Rules, of Services with 3 endpoints each:

${table(['Services', 'all at once: time, CPU', 'an endpoint of one changes: time, CPU'], rules)}`
}
