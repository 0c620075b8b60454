// The failover benchmark as a picture: one line a scenario, one dot a run, on a scale of seconds that
// grows by tens, with Kubernetes' defaults at its far end.

import { KUBERNETES, valuesOf, type Run } from './results.ts'
import { SCENARIOS } from './scenarios.ts'

const WIDTH = 860
const LEFT = 190
const RIGHT = 30
const ROW = 44
const TOP = 64
const MIN_S = 0.1
const MAX_S = 600

const SERIES = [
  { column: 'detected', label: 'detected', color: '#8b8b8b', dy: -9 },
  { column: 'outOfRotation', label: 'last failed request sent', color: '#d1495b', dy: 0 },
  { column: 'replaced', label: 'replacement ready', color: '#2e7d5b', dy: 9 },
] as const

export function plot(runs: readonly Run[]): string {
  const shown = SCENARIOS.filter(({ name }) => valuesOf(runs, name, 'lost').length > 0)
  const height = TOP + shown.length * ROW + 56
  const bottom = TOP + shown.length * ROW
  const parts = [
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(16, 26, 'Seconds from the fault, each dot one run', { size: 15, weight: 600 }),
    ...SERIES.map(({ label, color }, index) => {
      const at = LEFT + index * 190
      return `<circle cx="${at}" cy="44" r="4" fill="${color}"/>${text(at + 9, 48, label)}`
    }),
    ...[0.1, 1, 10, 100].map((seconds) => axis(seconds, bottom)),
    ...shown.map((scenario, index) => row(runs, scenario, TOP + index * ROW + ROW / 2)),
    kubernetes(KUBERNETES.outOfRotation, bottom, '#d1495b'),
    kubernetes(KUBERNETES.replaced, bottom, '#2e7d5b'),
    text(WIDTH - RIGHT, bottom + 44, "dashed: Kubernetes' defaults after a node's death", {
      anchor: 'end',
    }),
  ]
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Failover times by scenario" font-family="system-ui, sans-serif" font-size="12" fill="#222222">`,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

function row(runs: readonly Run[], { name, title }: (typeof SCENARIOS)[number], y: number): string {
  const line = `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}" stroke="#eeeeee"/>`
  const dots = SERIES.flatMap(({ column, color, dy }) =>
    valuesOf(runs, name, column)
      // Nothing failed: there is no last failed request.
      .filter((value) => value > 0)
      .map(
        (value) =>
          `<circle cx="${x(value)}" cy="${y + dy}" r="4" fill="${color}" fill-opacity="0.65"/>`,
      ),
  )
  const isLossless = valuesOf(runs, name, 'lost').every((value) => value === 0)
  const note = isLossless
    ? text(LEFT - 12, y + 17, 'no request lost', { anchor: 'end', color: '#2e7d5b', size: 10 })
    : ''
  return [line, text(LEFT - 12, y + 4, title, { anchor: 'end' }), note, ...dots].join('\n')
}

function axis(seconds: number, bottom: number): string {
  const at = x(seconds)
  return `<line x1="${at}" x2="${at}" y1="${TOP}" y2="${bottom}" stroke="#dddddd"/>${text(at, bottom + 18, `${seconds} s`, { anchor: 'middle' })}`
}

function kubernetes(seconds: number, bottom: number, color: string): string {
  const at = x(seconds)
  return `<line x1="${at}" x2="${at}" y1="${TOP}" y2="${bottom}" stroke="${color}" stroke-dasharray="5 4"/>${text(at, bottom + 18, `${seconds} s`, { anchor: 'middle', color })}`
}

function x(seconds: number): string {
  const share =
    (Math.log10(Math.max(seconds, MIN_S)) - Math.log10(MIN_S)) /
    (Math.log10(MAX_S) - Math.log10(MIN_S))
  return (LEFT + share * (WIDTH - LEFT - RIGHT)).toFixed(1)
}

function text(
  left: number | string,
  y: number,
  what: string,
  style: { anchor?: 'middle' | 'end'; color?: string; size?: number; weight?: number } = {},
): string {
  const { anchor, color, size, weight } = style
  const attributes = [
    anchor ? ` text-anchor="${anchor}"` : '',
    color ? ` fill="${color}"` : '',
    size ? ` font-size="${size}"` : '',
    weight ? ` font-weight="${weight}"` : '',
  ]
  return `<text x="${left}" y="${y}"${attributes.join('')}>${what}</text>`
}
