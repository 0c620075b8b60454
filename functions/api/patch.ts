// PATCH bodies, applied: RFC 7396 merge patches.

import type { KubeObject } from '#shared/api/meta.ts'
import { readBody } from './body.ts'
import type { ApiContext } from './context.ts'
import { parse, type Expected } from './decode.ts'
import type { Body } from './strategy.ts'

/** The patch in the body. */
export async function readPatch(context: ApiContext): Promise<Body> {
  return parse(await readBody(context.request), '').value
}

/** The patched object. */
export function applyPatch(
  _context: ApiContext,
  patch: Body,
  old: KubeObject,
  _expected: Expected,
): Body {
  return { ...old, ...mergedRecord(old, patch) }
}

function merged(value: unknown, patch: unknown): unknown {
  return isRecord(patch) ? mergedRecord(isRecord(value) ? value : {}, patch) : patch
}

function mergedRecord(value: object, patch: Record<string, unknown>): Record<string, unknown> {
  const result: Record<string, unknown> = { ...value }
  for (const [name, member] of Object.entries(patch)) {
    if (member === null) delete result[name]
    else result[name] = merged(result[name], member)
  }
  return result
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
