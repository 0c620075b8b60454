// The one door to every measurement: `npm run bench -- NAME [--json] [options]`.

import { globSync } from 'node:fs'
import { basename } from 'node:path'
import type { Measurement } from './measurement.ts'

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

const { measure } = await import(`./${name}.ts`)
const measurements: Measurement[] = await measure(rest)
if (isJson) console.log(JSON.stringify(measurements, undefined, 2))
else printTable(measurements)
process.exit(0)

function printTable(rows: readonly Measurement[]): void {
  const width = Math.max(...rows.map((row) => row.name.length), 4)
  for (const row of rows) {
    const value = Number.isInteger(row.value) ? String(row.value) : row.value.toPrecision(4)
    console.log(
      `${row.name.padEnd(width)}  ${value.padStart(12)} ${row.unit}${row.note ? `  (${row.note})` : ''}`,
    )
  }
}
