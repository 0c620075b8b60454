// docs/performance.md has one section for each measurement that writes there. A measurement replaces its own,
// between two comments; what stands around them is written by people.

import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'

const PAGE = join(import.meta.dirname, '..', '..', 'docs', 'performance.md')

/** Error: the page has no place for it. */
export function writePerformance(section: string, text: string): void {
  writeFileSync(PAGE, withSection(readFileSync(PAGE, 'utf8'), section, text))
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

/** What was measured on, and when: `2 cores and 24 GB (linux x64), 2026-11-29`. */
export function machineAndDay(): string {
  const memory = Math.round(totalmem() / 2 ** 30)
  const day = new Date().toISOString().slice(0, 10)
  return `${availableParallelism()} cores and ${memory} GB (${process.platform} ${process.arch}), ${day}`
}

/** A Markdown table; all columns but the first to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const rule = head.map((_, index) => (index === 0 ? '---' : '---:'))
  return [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
