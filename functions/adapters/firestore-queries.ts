// Every query this driver makes, as data: the queries are built from these shapes, and a test
// compares them with firestore.indexes.json, because the emulator would run any of them without.

import firestoreModule from '@google-cloud/firestore'
import type { CollectionReference, Firestore, Query } from '@google-cloud/firestore'
import { REVISIONS, revisionsPath } from './firestore-layout.ts'

export interface QueryShape {
  /** One segment's collection, or the revisions of all. */
  scope: 'COLLECTION' | 'COLLECTION_GROUP'
  /** Fields that must be equal to a value. */
  equal: readonly string[]
  /** The field that is bounded below (and perhaps above) and ordered by. */
  range: string
  order: 'ASCENDING' | 'DESCENDING'
}

/** By what it is for. All are about collections named `revisions`. */
export const QUERY_SHAPES = {
  /** The newest segment's tail; also counted. */
  segment: { scope: 'COLLECTION', equal: [], range: 'at', order: 'ASCENDING' },
  /** One cluster's tail over several segments; also counted, and for trimming. */
  cluster: { scope: 'COLLECTION_GROUP', equal: ['cluster'], range: 'at', order: 'ASCENDING' },
  /** What changed in all clusters. */
  all: { scope: 'COLLECTION_GROUP', equal: [], range: 'at', order: 'ASCENDING' },
  /** The follower's. */
  newest: { scope: 'COLLECTION', equal: [], range: 'at', order: 'DESCENDING' },
} as const satisfies Record<string, QueryShape>

/** A half-open stretch of `at`, in milliseconds. */
export interface Stretch {
  fromMs: number
  untilMs?: number
}

/** The tail of one segment of one cluster. */
export function segmentQuery(
  firestore: Firestore,
  cluster: string,
  segment: string,
  stretch: Stretch,
): Query {
  const collection = firestore.collection(revisionsPath(cluster, segment))
  return shaped(QUERY_SHAPES.segment, collection, {}, stretch)
}

/** The revisions of one cluster, whichever segments they are in. */
export function clusterQuery(firestore: Firestore, cluster: string, stretch: Stretch): Query {
  return shaped(QUERY_SHAPES.cluster, firestore.collectionGroup(REVISIONS), { cluster }, stretch)
}

/** The revisions of all clusters. */
export function allQuery(firestore: Firestore, stretch: Stretch): Query {
  return shaped(QUERY_SHAPES.all, firestore.collectionGroup(REVISIONS), {}, stretch)
}

/** The newest few of one segment. */
export function newestQuery(
  firestore: Firestore,
  cluster: string,
  segment: string,
  stretch: Stretch,
): Query {
  const collection = firestore.collection(revisionsPath(cluster, segment))
  return shaped(QUERY_SHAPES.newest, collection, {}, stretch)
}

function shaped(
  shape: QueryShape,
  base: Query | CollectionReference,
  values: Record<string, string>,
  { fromMs, untilMs }: Stretch,
): Query {
  let query: Query = base
  for (const field of shape.equal) query = query.where(field, '==', values[field])
  query = query.where(shape.range, '>=', timestampOf(fromMs))
  if (untilMs !== undefined) query = query.where(shape.range, '<', timestampOf(untilMs))
  return query.orderBy(shape.range, shape.order === 'ASCENDING' ? 'asc' : 'desc')
}

function timestampOf(ms: number): firestoreModule.Timestamp {
  return firestoreModule.Timestamp.fromMillis(Math.max(0, ms))
}
