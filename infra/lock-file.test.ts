// `npm ci` refuses a lock file that lacks a platform's optional package, and npm leaves such packages
// out when it writes the file on a machine whose registry does not have them.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

interface LockedPackage {
  version?: string
  optionalDependencies?: Record<string, string>
}

test('package-lock.json has an entry for every optional package', () => {
  const text = readFileSync(join(import.meta.dirname, '..', 'package-lock.json'), 'utf8')
  const { packages }: { packages: Record<string, LockedPackage> } = JSON.parse(text)
  const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter((name) => !isThere(packages, path, name)),
  )
  expect(missing).toEqual([])
})

/** As Node resolves: beside the package, then in each folder above. */
function isThere(packages: Record<string, LockedPackage>, path: string, name: string): boolean {
  for (let folder = path; ; folder = folder.replace(/\/?node_modules\/(?:@[^/]+\/)?[^/]+$/, '')) {
    if (packages[`${folder}${folder ? '/' : ''}node_modules/${name}`]) return true
    if (folder === '') return false
  }
}
