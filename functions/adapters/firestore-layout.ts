// Where things are in Firestore, and how versions are written there.
//
//   clusters/C                                  {trimmedTo}: how far the log has been cut off
//   clusters/C/objects/<key>                    {revision, content}
//   clusters/C/segments/S/revisions/<id>        {cluster, segment, at, requeueAtMs, content}
//   clusters/C/checkpoints/newest               {version, cursor, parts}
//   clusters/C/checkpoints/<version>-<n>        {data, isLast}
//   …/parts/<n> below an object or revision     {data}: content above what one document holds
//
// A segment is a stretch of time by the writer's clock. Catching up reads the newest one only: the
// emulator scans a collection per query, and production gets no index that grows at one hot end.

import type { DocumentReference, Firestore, Timestamp } from '@google-cloud/firestore'
import type { Key } from '#shared/key.ts'
import type { Version } from '#shared/ports/store.ts'
import { formatTime } from '#shared/time.ts'
import type { WireCondition } from './open-firestore.ts'

/** The collections of revisions, whose documents one collection-group query finds. */
export const REVISIONS = 'revisions'

/** Of a key: '/' cannot be in a document's id, and '%' cannot be in a Kubernetes name. */
export function objectId(key: Key): string {
  return key.replaceAll('/', '%')
}

export function clusterPath(cluster: string): string {
  return `clusters/${cluster}`
}

export function objectPath(cluster: string, key: Key): string {
  return `clusters/${cluster}/objects/${objectId(key)}`
}

export function revisionsPath(cluster: string, segment: string): string {
  return `clusters/${cluster}/segments/${segment}/${REVISIONS}`
}

export function partPath(parent: string, part: number): string {
  return `${parent}/parts/${part}`
}

export function checkpointsPath(cluster: string): string {
  return `clusters/${cluster}/checkpoints`
}

/** The segment that a writer at this time writes to: `2026-11-22T15:00:00Z`. */
export function segmentAt(ms: number, segmentMs: number): string {
  return formatTime(Math.floor(ms / segmentMs) * segmentMs)
}

/** Microseconds of a Firestore time. */
export function microsOf(time: Timestamp): number {
  return time.seconds * 1_000_000 + Math.floor(time.nanoseconds / 1000)
}

export function versionOf(micros: number): Version {
  return String(micros).padStart(16, '0')
}

/** A condition that holds while the document is at this version. */
export function atVersion(version: Version): WireCondition {
  const micros = Number(version)
  return {
    updateTime: { seconds: Math.floor(micros / 1_000_000), nanos: (micros % 1_000_000) * 1000 },
  }
}

/** Documents by path, in the given order. */
export function refsOf(firestore: Firestore, paths: string[]): DocumentReference[] {
  return paths.map((path) => firestore.doc(path))
}
