// Pages below docs/ have a section for each measurement that writes there. A measurement replaces its own,
// between two comments; what stands around them is written by people.

import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import type { Measurement } from '../measurement.ts'

const DOCS = join(import.meta.dirname, '..', '..', 'docs')

/** `page` as it is called below docs/, without `.md`. Error: it has no place for the section. */
export function writeSection(page: string, section: string, text: string): void {
  const path = join(DOCS, `${page}.md`)
  writeFileSync(path, withSection(readFileSync(path, 'utf8'), section, text))
}

/** The page with another text in this section. Error: it has no such section. */
export function withSection(page: string, section: string, text: string): string {
  const [begin, end] = [
    `<!-- ${section}: written by the measurement -->`,
    `<!-- ${section} ends -->`,
  ]
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`the page has no section ${section}`)
  return `${page.slice(0, from + begin.length)}\n\n${text.trim()}\n\n${page.slice(to)}`
}

/** What was measured on: `2 cores and 24 GB (linux x64)`. */
export function machine(): string {
  const memory = Math.round(totalmem() / 2 ** 30)
  return `${availableParallelism()} cores and ${memory} GB (${process.platform} ${process.arch})`
}

/** `2026-11-29` */
export function today(): string {
  return new Date().toISOString().slice(0, 10)
}

/** `2 cores and 24 GB (linux x64), 2026-11-29` */
export function machineAndDay(): string {
  return `${machine()}, ${today()}`
}

/** A Markdown table; all columns but the first to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const rule = head.map((_, index) => (index === 0 ? '---' : '---:'))
  return [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Looks up one value of a measurement. Error: it is not there; nothing is written about what was not measured. */
export function valuesOf(measurements: readonly Measurement[]): (name: string) => number {
  return (name) => {
    const found = measurements.find((each) => each.name === name)
    if (!found) throw new Error(`${name} was not measured`)
    return found.value
  }
}

/** What a measurement notes about one of its values. */
export function noteOf(measurements: readonly Measurement[], name: string): string {
  return measurements.find((each) => each.name === name)?.note ?? ''
}
