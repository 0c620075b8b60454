// Production refuses a query without an index, the emulator runs it: so the file of indexes is held
// against the shapes that the queries are built from.

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { REVISIONS } from './firestore-layout.ts'
import { QUERY_SHAPES } from './firestore-queries.ts'
import type { QueryShape } from './firestore-queries.ts'

interface IndexFile {
  indexes: {
    collectionGroup: string
    queryScope: string
    fields: { fieldPath: string; order: string }[]
  }[]
  fieldOverrides: {
    collectionGroup: string
    fieldPath: string
    indexes: { order: string; queryScope: string }[]
  }[]
}

const file = JSON.parse(
  readFileSync(new URL('../../firestore.indexes.json', import.meta.url), 'utf8'),
) as IndexFile
const shapes: [string, QueryShape][] = Object.entries(QUERY_SHAPES)

/** As text, to be compared: `COLLECTION_GROUP cluster ASCENDING, at ASCENDING`. */
function needed({ scope, equal, range, order }: QueryShape): string {
  return `${scope} ${[...equal.map((field) => `${field} ASCENDING`), `${range} ${order}`].join(', ')}`
}

const composite = file.indexes.map(
  ({ queryScope, fields }) =>
    `${queryScope} ${fields.map(({ fieldPath, order }) => `${fieldPath} ${order}`).join(', ')}`,
)
const single = file.fieldOverrides.flatMap(({ collectionGroup, fieldPath, indexes }) =>
  collectionGroup === REVISIONS
    ? indexes.map(({ queryScope, order }) => `${queryScope} ${fieldPath} ${order}`)
    : [],
)

test.each(shapes)('the query %s has its index', (_, shape) => {
  expect(shape.equal.length > 0 ? composite : single).toContain(needed(shape))
})

test('no index is there for nothing: each costs storage and write time', () => {
  expect([...composite, ...single].sort()).toEqual(shapes.map(([, shape]) => needed(shape)).sort())
  for (const { collectionGroup } of file.indexes) expect(collectionGroup).toBe(REVISIONS)
})

test.each([
  ['revisions', ['cluster', 'segment', 'requeueAtMs', 'json', 'data', 'parts']],
  ['objects', ['revision', 'json', 'data', 'parts']],
  ['parts', ['data']],
  ['checkpoints', ['cursor', 'data']],
])('what is never asked for in %s is not indexed', (collection, fields) => {
  const exempt = file.fieldOverrides
    .filter(({ collectionGroup, indexes }) => collectionGroup === collection && !indexes.length)
    .map(({ fieldPath }) => fieldPath)
  expect(exempt).toEqual(fields)
})
