// What the parts of the Store contract share: what is under test, and things to store.

import type { KubeObject } from '#shared/api/meta.ts'
import type { Commit, CountedStore, Version, Write } from '#shared/ports/store.ts'

export interface StoreUnderTest {
  store: CountedStore
  /** On the same data, with counters of its own. */
  other: CountedStore
  /** Longer than a reader of the log looks back for late arrivals. */
  outlastOverlap(): Promise<void>
  close(): Promise<void>
}

/** `keepsNothing`: revisions may be trimmed however young they are. */
export type OpenStore = (options?: { keepsNothing?: boolean }) => Promise<StoreUnderTest>

/** The cluster that the tests speak of, where one is enough. */
export const CLUSTER = 'one'

export function configMap(name: string, data: Record<string, string> = {}): KubeObject {
  const metadata = { name, namespace: 'default', uid: `uid-${name}`, creationTimestamp: '' }
  return Object.assign({ apiVersion: 'v1', kind: 'ConfigMap', metadata }, { data })
}

export function keyOfMap(name: string): string {
  return `configmaps/default/${name}`
}

/** Stores a ConfigMap: a new one, or one in place of the version that it had. */
export function put(name: string, expect: Version | null, data?: Record<string, string>): Write {
  return { key: keyOfMap(name), object: configMap(name, data), expect }
}

let commits = 0
export function commitOf(...writes: Write[]): Commit {
  return { id: `commit-${commits++}`, cause: { actor: 'user:test', verb: 'test' }, writes }
}
