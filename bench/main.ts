// The one door to every measurement: `npm run bench -- NAME [--json] [options]`. Those with a section of a page
// below docs/ write it with `--markdown`; `--from FILE` takes what `--json` has printed instead of measuring.

import { globSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { Measure, Measurement, Section } from './measurement.ts'
import { writeSection } from './support/page.ts'

const HELPERS = new Set(['main', 'measurement'])
const names = globSync('*.ts', { cwd: import.meta.dirname })
  .map((file) => basename(file, '.ts'))
  .filter((name) => !HELPERS.has(name) && !name.endsWith('.test'))
  .sort()

const args = process.argv.slice(2)
const isJson = args.includes('--json')
const [name, ...rest] = args.filter((arg) => arg !== '--json')

if (!name || !names.includes(name)) {
  console.error(`usage: npm run bench -- NAME [--json]\nNAME is one of: ${names.join(', ')}`)
  process.exit(2)
}

const bench: { measure: Measure; section?: Section } = await import(`./${name}.ts`)
const measurements = await (bench.section
  ? documented(bench.measure, bench.section)
  : bench.measure(rest))
if (isJson) console.log(JSON.stringify(measurements, undefined, 2))
else printTable(measurements)
process.exit(0)

async function documented(measure: Measure, section: Section): Promise<Measurement[]> {
  const at = rest.indexOf('--from')
  const isFrom = (index: number): boolean => at >= 0 && (index === at || index === at + 1)
  const others = rest.filter((arg, index) => arg !== '--markdown' && !isFrom(index))
  const found: Measurement[] =
    at < 0 ? await measure(others) : JSON.parse(readFileSync(rest[at + 1] ?? '', 'utf8'))
  if (rest.includes('--markdown')) writeSection(section.page, section.name, section.text(found))
  return found
}

function printTable(rows: readonly Measurement[]): void {
  const width = Math.max(...rows.map((row) => row.name.length), 4)
  for (const row of rows) {
    const value = Number.isInteger(row.value) ? String(row.value) : row.value.toPrecision(4)
    console.log(
      `${row.name.padEnd(width)}  ${value.padStart(12)} ${row.unit}${row.note ? `  (${row.note})` : ''}`,
    )
  }
}
