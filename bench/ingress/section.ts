// What docs/ingress.md says of its cost, from one run of the measurement. Edit here, never there.

import type { Measurement } from '../measurement.ts'
import { machineAndDay, noteOf, table, valuesOf } from '../support/page.ts'

/** Markdown. */
export function ingressSection(measurements: readonly Measurement[]): string {
  const valueOf = valuesOf(measurements)
  const value = (name: string): number => valueOf(`ingress.${name}`)
  const note = (name: string): string => noteOf(measurements, `ingress.${name}`)
  const count = (name: string): string => Math.round(value(name)).toLocaleString('en')
  const rows = [
    [
      `requests under ${note('lossless.requests')}`,
      `${count('lossless.requests')}, ${value('lossless.failed')} failed`,
    ],
    [
      `${note('rules.effective')}: until every one is answered`,
      `${value('rules.effective').toFixed(1)} s, ${value('rules.apply').toFixed(1)} s of it \`kubectl apply\` itself`,
    ],
    [
      'requests/s through the entry, at a pod’s own port',
      `${count('throughput.entry')}, ${count('throughput.direct')} (${value('throughput.ratio').toFixed(2)})`,
    ],
  ]
  return `On ${machineAndDay()}, which played all of it, the visitors too:

${table(['', ''], rows)}`
}
