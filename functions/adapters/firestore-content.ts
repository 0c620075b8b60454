// How a JSON value lies in documents: as text while it is small (people can read it in Google's
// console), compressed above that, and cut into part documents above what one document holds.

import { deflateRawSync, inflateRawSync } from 'node:zlib'
import type { WireValue } from './open-firestore.ts'

const TEXT_BYTES_MAX = 65_536
/** Of one document's data: its limit is 1 MiB, name and other fields included. */
export const DATA_BYTES_MAX = 1_000_000

/** What is to be stored: the fields for the document itself, and the data of its parts. */
export interface PackedContent {
  fields: Record<string, WireValue>
  parts: Uint8Array[]
  /** All of it, for the sum over a commit. */
  bytes: number
}

/** `isDense`: compressed even if small, for a commit that would not fit otherwise. */
export function packContent(text: string, isDense = false): PackedContent {
  const size = Buffer.byteLength(text)
  if (size <= TEXT_BYTES_MAX && !isDense) {
    return { fields: { json: { stringValue: text } }, parts: [], bytes: size }
  }
  const data = deflateRawSync(text)
  const fields: Record<string, WireValue> = {}
  if (data.length <= DATA_BYTES_MAX) {
    return { fields: { data: { bytesValue: data } }, parts: [], bytes: data.length }
  }
  const parts = cut(data)
  fields['parts'] = { integerValue: String(parts.length) }
  return { fields, parts, bytes: data.length }
}

/** Pieces that fit into a document each. */
export function cut(data: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = []
  for (let start = 0; start < data.length; start += DATA_BYTES_MAX) {
    pieces.push(data.subarray(start, start + DATA_BYTES_MAX))
  }
  return pieces
}

/** How many parts a document has beside itself. */
export function partCount(fields: Record<string, unknown>): number {
  return typeof fields['parts'] === 'number' ? fields['parts'] : 0
}

/** The JSON value of a document's fields, and of its parts' data in order. */
export function unpackContent(fields: Record<string, unknown>, parts: Uint8Array[]): unknown {
  if (typeof fields['json'] === 'string') return JSON.parse(fields['json'])
  const { data } = fields
  const packed = data instanceof Uint8Array ? data : Buffer.concat(parts)
  return unpackData(packed)
}

/** The value of data that `packData` made. */
export function unpackData(data: Uint8Array): unknown {
  return JSON.parse(inflateRawSync(data).toString('utf8'))
}

/** A value, compressed. */
export function packData(value: unknown): Uint8Array {
  return deflateRawSync(JSON.stringify(value))
}
