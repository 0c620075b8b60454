// An act as a picture: one bar a second, answered below, failed above, and what happened when.

import { hasFailed, type ActResult } from './results.ts'
import type { Act } from './story.ts'
import { clockText, secondsText } from './words.ts'

const WIDTH = 1000
const LEFT = 4
const RIGHT = 10
const TOP = 40
const BARS = 92
const BOTTOM = TOP + BARS
const HEIGHT = BOTTOM + 24
const BUCKET_MS = 1000
const MARK = 18
/** Narrower than this no text fits between the ends of an outage. */
const LABEL_WIDTH = 150
const TICK_S = 10

/** `seconds`: what the whole width is; the same for all acts, so that lengths can be compared. */
export function timeline(act: Act, result: ActResult, seconds: number, perSecond: number): string {
  const perMs = (WIDTH - LEFT - RIGHT) / (seconds * 1000)
  const x = (at: number): number => LEFT + (at - act.startedAt) * perMs
  const parts = [
    ...ticks(seconds, (second) => x(act.startedAt + second * 1000)),
    ...bars(act, x, perSecond),
    ...marks(act, x),
    ...outages(result, x),
  ]
  const label = `Requests over time: ${result.answered} answered, ${result.failed} failed`
  return `<svg class="timeline" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${label}">\n${parts.join('\n')}\n</svg>`
}

function ticks(seconds: number, x: (second: number) => number): string[] {
  const lines = [
    `<line class="axis" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${BOTTOM}" y2="${BOTTOM}"/>`,
  ]
  for (let second = 0; second <= seconds; second += TICK_S) {
    const at = x(second).toFixed(1)
    const anchor = second === 0 ? 'start' : 'middle'
    lines.push(
      `<text class="tick" x="${at}" y="${BOTTOM + 17}" text-anchor="${anchor}">${clockText(second * 1000)}</text>`,
    )
  }
  return lines
}

function bars({ startedAt, records }: Act, x: (at: number) => number, perSecond: number): string[] {
  const buckets = new Map<number, { answered: number; failed: number }>()
  for (const record of records) {
    const index = Math.floor((record.sentAt - startedAt) / BUCKET_MS)
    const bucket = buckets.get(index) ?? { answered: 0, failed: 0 }
    if (hasFailed(record)) bucket.failed++
    else bucket.answered++
    buckets.set(index, bucket)
  }
  // A timer that was late sends more in one second and fewer in another.
  const most = Math.max(perSecond, ...[...buckets.values()].map((one) => one.answered + one.failed))
  const tall = (count: number): number => (count / most) * BARS
  return [...buckets].map(([index, { answered, failed }]) => {
    const from = x(startedAt + index * BUCKET_MS)
    const width = (x(startedAt + (index + 1) * BUCKET_MS) - from - 1).toFixed(1)
    const rect = (kind: string, count: number, above: number): string =>
      count === 0
        ? ''
        : `<rect class="${kind}" x="${from.toFixed(1)}" width="${width}" y="${(BOTTOM - tall(above + count)).toFixed(1)}" height="${tall(count).toFixed(1)}"/>`
    const title = `<title>${clockText(index * BUCKET_MS)}: ${answered} answered, ${failed} failed</title>`
    return `<g>${title}${rect('answered', answered, 0)}${rect('failed', failed, answered)}</g>`
  })
}

function outages({ outages }: ActResult, x: (at: number) => number): string[] {
  return outages
    .filter(({ from, to }) => x(to) - x(from) >= LABEL_WIDTH)
    .map(({ from, to }) => {
      const middle = ((x(from) + x(to)) / 2).toFixed(1)
      return `<text class="outage" x="${middle}" y="${BOTTOM - BARS / 2 + 5}" text-anchor="middle">${secondsText(to - from)} without an answer</text>`
    })
}

/** Numbered as in the list below the picture. Those that would cover each other go side by side. */
function marks({ moments }: Act, x: (at: number) => number): string[] {
  let last = -Infinity
  return moments.map(({ at, who }, index) => {
    const line = x(at)
    const center = Math.max(line, last + MARK)
    last = center
    return [
      `<g class="mark ${who}">`,
      `<path d="M${line.toFixed(1)} ${BOTTOM}V${TOP - 6}L${center.toFixed(1)} ${TOP - 14}"/>`,
      `<circle cx="${center.toFixed(1)}" cy="${TOP - 22}" r="8.5"/>`,
      `<text x="${center.toFixed(1)}" y="${TOP - 18}" text-anchor="middle">${index + 1}</text>`,
      '</g>',
    ].join('')
  })
}
