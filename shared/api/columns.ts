// Pieces of `kubectl get` tables that many kinds share: columns by name, ages, and lists of texts.

import { humanDuration, parseTime } from '../time.ts'
import type { Column, PrintContext } from './kind.ts'
import type { KubeObject } from './meta.ts'

/** The first column of every table but Event's. */
export const NAME_COLUMN: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  priority: 0,
  description: 'Name must be unique within a namespace.',
}

/** How old the object is. */
export const AGE_COLUMN: Column = {
  name: 'Age',
  type: 'string',
  priority: 0,
  description: 'Time since the object was created.',
}

/** A column that is always shown. */
export function column(name: string, description: string, type: Column['type'] = 'string'): Column {
  return { name, type, priority: 0, description }
}

/** A column that only `-o wide` shows. */
export function wideColumn(
  name: string,
  description: string,
  type: Column['type'] = 'string',
): Column {
  return { name, type, priority: 1, description }
}

/** What stands where nothing is. */
export const NONE = '<none>'

/** The AGE cell of an object. */
export function ageOf(object: KubeObject, context: PrintContext): string {
  return since(object.metadata.creationTimestamp, context)
}

/** How long ago an RFC 3339 time was, `<unknown>` when there is none. */
export function since(time: string | null | undefined, context: PrintContext): string {
  const ms = parseTime(time)
  return ms === undefined ? '<unknown>' : humanDuration(context.now - ms)
}

/** Labels as `a=b,c=d` in order of their keys, or `<none>`. */
export function formatLabels(labels: Record<string, string> | undefined): string {
  const pairs = Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`)
  return pairs.length > 0 ? pairs.sort().join(',') : NONE
}
