// The resourceVersion parameter: text on the wire, a Version inside, and what a request with one
// may be answered from.

import { NO_VERSION, type Version } from '#shared/ports/store.ts'
import { StatusError } from '#shared/status.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { LiveView } from '../cluster/live-view.ts'
import { badRequest } from './errors.ts'

/** `0` for an empty log: clients want a decimal number without leading zeros. */
export function formatVersion(version: Version): string {
  return version === NO_VERSION ? '0' : version.replace(/^0+(?=\d)/, '')
}

/** The Version of a parameter; undefined when it is absent or empty. Error: BadRequest. */
export function parseVersion(text: string | null): Version | undefined {
  if (text === null || text === '') return undefined
  if (!/^\d{1,16}$/.test(text)) {
    throw badRequest(
      `resourceVersion: Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`,
    )
  }
  return text.padStart(NO_VERSION.length, '0')
}

/**
 * The view for a read: as fresh as now without a version, whatever is there for 0, at least that
 * version otherwise. Error: Timeout when the version is in the future.
 */
export async function readerAt(view: LiveView, version: Version | undefined): Promise<Reader> {
  if (version === undefined) return view.catchUp()
  const reader = await view.catchUp(version)
  if (reader.version < version) throw tooLarge(version, reader.version)
  return reader
}

/** 504 of a version that no commit has had yet. */
function tooLarge(version: Version, current: Version): StatusError {
  return new StatusError(
    'Timeout',
    `Too large resource version: ${formatVersion(version)}, current: ${formatVersion(current)}`,
    {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      retryAfterSeconds: 1,
    },
  )
}

/** 410 of a version that the log does not reach back to. */
export function tooOld(version: Version, oldest?: Version): StatusError {
  const known = oldest === undefined ? '' : ` (${formatVersion(oldest)})`
  return new StatusError('Expired', `too old resource version: ${formatVersion(version)}${known}`)
}

/** True when two texts name one version, however many zeros they begin with. */
export function sameVersion(a: string, b: string): boolean {
  return a.padStart(NO_VERSION.length, '0') === b.padStart(NO_VERSION.length, '0')
}
