// Pages that name what is not there rot unseen: every path, function, test, command and link that a
// page names must exist. The forms that are looked for:
//
//   `shared/api/pod.ts`, `shared/api/`, `shared/**/*.test.ts`   a file, a folder, at least one file
//   `createApi` (`functions/api/app.ts`)                         a name that the file contains
//   `test/contract/store.ts` “a sentence”                        a test of that file, by its name

import { existsSync, globSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import { describe, expect, test } from 'vitest'
import { CATALOG } from '#shared/api/catalog.ts'
import { apiVersionOf } from '#shared/api/kind.ts'

const ROOT = join(import.meta.dirname, '..')
const PAGES = globSync(['*.md', 'docs/*.md', 'examples/*/README.md'], { cwd: ROOT }).sort()
const RECORDS = globSync('docs/decisions/0*.md', { cwd: ROOT }).sort()
const FOLDERS = 'agent|bench|docs|emulator|examples|functions|infra|shared|story|test'
const PATH = new RegExp(`^(?:${FOLDERS})/[^\\s<>…]*$`)
const IMAGE_BYTES_MAX = 150_000

const read = (page: string): string => readFileSync(join(ROOT, page), 'utf8')
const textOf = new Map(PAGES.map((page) => [page, read(page)]))

/** Code spans: what stands between single backticks, outside of blocks. */
function spansOf(text: string): string[] {
  const prose = text.replace(/^```[^]*?^```/gm, '')
  return [...prose.matchAll(/`([^`\n]+)`/g)].map(([, span]) => span ?? '')
}

function exists(path: string): boolean {
  if (path.includes('*')) return globSync(path, { cwd: ROOT }).length > 0
  return existsSync(join(ROOT, path))
}

function contains(file: string, text: string): boolean {
  const path = join(ROOT, file)
  return existsSync(path) && statSync(path).isFile() && readFileSync(path, 'utf8').includes(text)
}

/** Each page with what `find` finds in it. */
function everywhere(find: (text: string, page: string) => string[]): string[] {
  return [...textOf].flatMap(([page, text]) => find(text, page).map((each) => `${page}: ${each}`))
}

describe('what a page names exists', () => {
  test('files and folders', () => {
    const named = everywhere((text) => spansOf(text).filter((span) => PATH.test(span)))
    expect(named.length).toBeGreaterThan(150)
    expect(named.filter((each) => !exists(each.split(': ')[1] ?? ''))).toEqual([])
  })

  test('functions and other names of a file', () => {
    const found = everywhere((text) =>
      [...text.matchAll(/((?:`\w+`(?:,| and)?\s+)+)\(`([\w./-]+\.\w+)`\)/g)].flatMap(
        ([, names = '', file = '']) =>
          [...names.matchAll(/`(\w+)`/g)].map(([, name]) => `${name} ${file}`),
      ),
    )
    expect(found.length).toBeGreaterThan(50)
    const missing = found.filter((each) => {
      const [, name = '', file = ''] = each.split(' ')
      return !contains(file, name)
    })
    expect(missing).toEqual([])
  })

  test('tests, by their names', () => {
    const found = everywhere((text) =>
      [...text.matchAll(/`([\w./-]+\.ts)`((?:,?\s*“[^”]+”)+)/g)].flatMap(
        ([, file = '', names = '']) =>
          [...names.matchAll(/“([^”]+)”/g)].map(
            ([, name = '']) => `${file} “${name.replace(/\s+/g, ' ')}”`,
          ),
      ),
    )
    expect(found.length).toBeGreaterThan(20)
    const missing = found.filter((each) => {
      const [, file = '', name = ''] = /: (\S+) “(.*)”$/.exec(each) ?? []
      return !isTest(file, name)
    })
    expect(missing).toEqual([])
  })

  test('npm scripts', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const found = everywhere((text) =>
      [...text.matchAll(/\bnpm (?:run ([\w:]+)|(start|test))\b/g)].map(
        ([, script, short]) => script ?? short ?? '',
      ),
    )
    expect(found.length).toBeGreaterThan(10)
    expect(found.filter((each) => !scripts[each.split(': ')[1] ?? ''])).toEqual([])
  })

  test('links and pictures', () => {
    const found = [...PAGES, ...RECORDS, 'docs/decisions/README.md'].flatMap((page) =>
      [...read(page).matchAll(/(?:\]\((?!https?:|#)|\bsrc=")([^)#\s"]+)/g)].map(
        ([, target = '']) => ({
          page,
          target,
        }),
      ),
    )
    expect(found.length).toBeGreaterThan(20)
    const missing = found.filter(
      ({ page, target }) => !existsSync(join(ROOT, normalize(join(dirname(page), target)))),
    )
    expect(missing).toEqual([])
  })
})

/** `test('name',`, `it("name",`, `test.each(…)(\`… name\`,`: a test whose title ends with it. */
function isTest(file: string, name: string): boolean {
  const path = join(ROOT, file)
  if (!existsSync(path)) return false
  const quoted = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const title = `(?:'${quoted}'|"${quoted}"|\`[^\`]*${quoted}\`)`
  return new RegExp(`(?:\\b(?:test|it)(?:\\.\\w+)?|\\))\\(\\s*${title},`).test(read(file))
}

test('every decision record is listed, with its own number', () => {
  const index = read('docs/decisions/README.md')
  const listed = [...index.matchAll(/^\| \[(\d{4})\]\(([^)]+)\) \| \S/gm)].map(
    ([, number, file]) => `${number} ${file}`,
  )
  const there = RECORDS.map((path) => `${basename(path).slice(0, 4)} ${basename(path)}`)
  expect(listed).toEqual(there)
  for (const path of RECORDS) {
    expect(read(path), path).toMatch(new RegExp(`^# ${basename(path).slice(0, 4)} \\S`))
  }
})

test('every kind of the catalog has its row in compatibility.md', () => {
  const rows = [
    ...read('docs/compatibility.md').matchAll(
      /^\| (\w+) \| ([\w./]+) \| ([\w, –]+) \| ([\w, –]+) \|/gm,
    ),
  ]
    .map((row) => row.slice(1, 5).join(' | '))
    .filter((row) => !row.startsWith('kind |'))
  const orNone = (names: readonly string[]): string => names.join(', ') || '–'
  const kinds = CATALOG.map((kind) =>
    [
      kind.kind,
      apiVersionOf(kind),
      orNone(kind.shortNames),
      orNone(kind.subresources.map(({ name }) => name)),
    ].join(' | '),
  )
  expect(rows).toEqual(kinds)
})

test('pictures are small', () => {
  for (const path of globSync('docs/images/*', { cwd: ROOT })) {
    expect(statSync(join(ROOT, path)).size, path).toBeLessThan(IMAGE_BYTES_MAX)
    expect(
      [...textOf.values()].some((text) => text.includes(path)),
      path,
    ).toBe(true)
  }
})
