// Who may import whom: docs/architecture.md draws it, this table holds it. One row a folder; a file
// that breaks a rule is named with the import that breaks it.

import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..')
const ALIAS = /^#(shared|functions|emulator|agent|test)\//

interface Rule {
  /** Files of these folders … */
  of: RegExp
  /** … may import project files that match this … */
  files: RegExp
  /** … and packages that match this. */
  packages: RegExp
  why: string
}

const ANY = /./
const NONE = /$^/
const NODE = /^node:/

/** The first row that fits a file counts. */
const RULES: Rule[] = [
  {
    of: /^shared\/ports\//,
    files: /^shared\/(api|ports|key\.ts|status\.ts)/,
    packages: NONE,
    why: 'a port is an interface: shapes only',
  },
  {
    of: /^shared\//,
    files: /^shared\//,
    packages: NONE,
    why: 'the brain is pure: no package, no node:, no clock',
  },
  {
    of: /^functions\/adapters\//,
    files: /^(shared|functions\/adapters)\//,
    packages: ANY,
    why: 'an adapter knows its port and its client, not the functions that use it',
  },
  {
    of: /^functions\/index\.ts$/,
    files: /^(shared|functions)\//,
    packages: ANY,
    why: 'the composition root of the cloud',
  },
  {
    of: /^functions\//,
    files: /^(shared|functions\/(?!adapters\/|index\.ts))/,
    packages: /^(?!@google-cloud|google-)/,
    why: 'functions see Google through ports only',
  },
  {
    of: /^agent\//,
    files: /^(shared|agent)\//,
    packages: ANY,
    why: 'the agent is a program of its own',
  },
  {
    of: /^emulator\//,
    files: /^(shared|functions|emulator)\//,
    packages: ANY,
    why: 'the second body: it runs the functions, it starts the agent as a program',
  },
  { of: /^(bench|story|test|infra)\//, files: ANY, packages: ANY, why: 'they look at everything' },
]

interface Import {
  from: string
  to: string
  isPackage: boolean
}

const SPECIFIER =
  /(?:^|[\s;])(?:import|export)\s[^'"]*?from\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/g

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8')
  return [...text.matchAll(SPECIFIER)].flatMap((match): Import[] => {
    const specifier = match[1] ?? match[2]
    if (!specifier) return []
    if (specifier.startsWith('.')) {
      return [
        { from: file, to: relative(ROOT, join(ROOT, dirname(file), specifier)), isPackage: false },
      ]
    }
    if (ALIAS.test(specifier)) {
      return [{ from: file, to: normalize(specifier.slice(1)), isPackage: false }]
    }
    return [{ from: file, to: specifier, isPackage: true }]
  })
}

const FILES = globSync('{shared,functions,emulator,agent,bench,story,infra}/**/*.ts', {
  cwd: ROOT,
}).filter((file) => !file.endsWith('.test.ts'))

describe('architecture', () => {
  test('every import is one that its folder may make', () => {
    const broken = FILES.flatMap((file) => {
      const rule = RULES.find((candidate) => candidate.of.test(file))
      if (!rule) return [`${file}: no rule names its folder`]
      return importsOf(file)
        .filter(({ to, isPackage }) =>
          isPackage
            ? !rule.packages.test(to) && !(NODE.test(to) && rule.packages !== NONE)
            : !rule.files.test(to),
        )
        .map(({ to }) => `${file} imports ${to}: ${rule.why}`)
    })
    expect(broken).toEqual([])
  })

  test('product code does not import tests', () => {
    const broken = FILES.filter((file) => !/^(bench|story|infra)\//.test(file)).flatMap((file) =>
      importsOf(file)
        .filter(({ to, isPackage }) => !isPackage && /^test\/|\.test\.ts$/.test(to))
        .map(({ to }) => `${file} imports ${to}`),
    )
    expect(broken).toEqual([])
  })

  test('only programs read the environment: the composition roots and the commands', () => {
    const roots =
      /^(functions\/index|agent\/main|emulator\/(main|fault|repository|webhook))\.ts$|^(bench|story|infra)\//
    const broken = FILES.filter(
      (file) =>
        !roots.test(file) && /\bprocess\.env\b/.test(readFileSync(join(ROOT, file), 'utf8')),
    )
    expect(broken).toEqual([])
  })

  test('a file is at most 400 lines, so that none becomes a heap', () => {
    const long = FILES.map((file) => ({
      file,
      lines: readFileSync(join(ROOT, file), 'utf8').split('\n').length - 1,
    })).filter(({ lines }) => lines > 400)
    expect(long).toEqual([])
  })

  test('ports have at most eight methods, none optional', () => {
    for (const port of globSync('shared/ports/*.ts', { cwd: ROOT })) {
      const text = readFileSync(join(ROOT, port), 'utf8')
      for (const [, name, body] of text.matchAll(
        /export interface (Store|Bus|Compute|Timers|Clock|Log) \{([^]*?)\n\}/g,
      )) {
        const methods = [...(body ?? '').matchAll(/^ {2}(\w+)(\??)\(/gm)]
        expect(methods.length, `${name} in ${port}`).toBeLessThanOrEqual(8)
        expect(methods.filter(([, , optional]) => optional === '?')).toEqual([])
      }
    }
  })

  test('nothing is promised in a comment instead of done', () => {
    const open = FILES.filter((file) =>
      /\b(TODO|FIXME|XXX)\b/.test(readFileSync(join(ROOT, file), 'utf8')),
    )
    expect(open).toEqual([])
  })
})
