// npm packages for an image, copied from where this machine has them: what `npm install` would put into it.

import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { librariesOf } from './base-layer.ts'
import { entriesOf, type Entry } from './layer.ts'

interface Manifest {
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
}

/** The packages and all that they need, below `target/node_modules`. Error: one is not installed. */
export function packagesOf(folder: string, names: readonly string[], target: string): Entry[] {
  const found = new Map<string, string>()
  const add = (name: string, from: string, isOptional: boolean): void => {
    if (found.has(name)) return
    const place = find(name, from)
    if (!place) {
      if (isOptional) return
      throw new Error(
        `the image in ${folder} needs the npm package ${name}, which is not installed`,
      )
    }
    found.set(name, place)
    const manifest: Manifest = JSON.parse(readFileSync(join(place, 'package.json'), 'utf8'))
    for (const each of Object.keys(manifest.dependencies ?? {})) add(each, place, false)
    for (const each of Object.keys(manifest.optionalDependencies ?? {})) add(each, place, true)
  }
  for (const name of names) add(name, folder, false)
  const entries = [...found].flatMap(([name, place]) =>
    entriesOf(place, `${target}/node_modules/${name}`),
  )
  return [...entries, ...systemLibraries(entries)]
}

/** As Node looks for it. */
function find(name: string, from: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder)) {
    const place = join(folder, 'node_modules', name)
    if (existsSync(join(place, 'package.json'))) return realpathSync(place)
    if (folder === dirname(folder)) return undefined
  }
}

/** What the packages' own programs need of the machine. */
function systemLibraries(entries: readonly Entry[]): Entry[] {
  const programs = entries.flatMap((entry) =>
    entry.kind === 'file' && entry.path.includes('/bin/') && isElf(entry.source)
      ? [entry.source]
      : [],
  )
  const libraries = programs
    .flatMap(librariesOf)
    .filter(({ path }) => !path.includes('node_modules'))
  return [...new Map(libraries.map((entry) => [entry.path, entry])).values()]
}

function isElf(file: string): boolean {
  return readFileSync(file).subarray(0, 4).equals(Buffer.from('\u007fELF'))
}
