// The refusals that every Store driver makes in the same words.

import type { KubeObject } from '../api/meta.ts'
import { splitKey } from '../key.ts'
import type { Key } from '../key.ts'
import { StatusError, alreadyExists, conflict, notFound } from '../status.ts'
import type { Commit, Version, Write } from './store.ts'
import { COMMIT_BYTES_MAX, OBJECT_BYTES_MAX } from './store.ts'

/** Throws on a commit that no caller should make: one of nothing, or of one object twice. */
export function refuseSenseless(commit: Commit): void {
  if (commit.writes.length === 0) throw new Error(`commit ${commit.id} writes nothing`)
  const keys = new Set(commit.writes.map((write) => write.key))
  if (keys.size < commit.writes.length) {
    throw new Error(`commit ${commit.id} writes one object twice`)
  }
}

/** Why a write cannot be, given the version that is really there; undefined when it can. */
export function staleWrite(
  write: Pick<Write, 'key' | 'expect'>,
  current: Version | undefined,
): StatusError | undefined {
  const { resource, name } = splitKey(write.key)
  if (write.expect === null) {
    return current === undefined ? undefined : alreadyExists(resource, name)
  }
  if (current === undefined) return notFound(resource, name)
  return current === write.expect ? undefined : conflict(resource, name)
}

/** The object that `write.before` promises, if it keeps the promise. */
export function promisedBefore(write: Write): KubeObject | undefined {
  return write.before?.metadata.resourceVersion === write.expect ? write.before : undefined
}

/** The refusal of one object that is too large. */
export function objectTooLarge(key: Key, bytes: number): StatusError {
  const { resource, name } = splitKey(key)
  return new StatusError(
    'RequestEntityTooLarge',
    `${resource} "${name}" is too large: ${bytes} bytes, limit is ${OBJECT_BYTES_MAX}`,
  )
}

/** The refusal of a commit that is too large as a whole. */
export function commitTooLarge(bytes: number): StatusError {
  return new StatusError(
    'RequestEntityTooLarge',
    `request is too large: ${bytes} bytes in one commit, limit is ${COMMIT_BYTES_MAX}`,
  )
}

/** The answer when the log no longer reaches back to where a reader stands. */
export function logExpired(): StatusError {
  return new StatusError('Expired', 'the log has been compacted past the requested version')
}
