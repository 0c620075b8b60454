// DeleteOptions, wherever a client puts them: in the body (JSON, YAML, protobuf) or in the query.

import { isDryRun, type ApiContext } from './context.ts'
import { decodeOptions } from './decode.ts'
import { validateDeleteOptions, type DeleteOptions } from './deletion.ts'
import { badRequest } from './errors.ts'
import { isTrue } from './request-info.ts'

export interface ParsedDeleteOptions {
  options: DeleteOptions
  isDryRun: boolean
}

/** The body wins; what it leaves out may stand in the query. Errors: BadRequest, Invalid. */
export async function deleteOptionsOf(context: ApiContext): Promise<ParsedDeleteOptions> {
  const body = await decodeOptions(context, 'DeleteOptions')
  const options = { ...fromQuery(context.query), ...fromBody(body ?? {}) }
  validateDeleteOptions(options)
  const dryRun = [...context.query.getAll('dryRun'), ...(options.dryRun ?? [])]
  return { options, isDryRun: isDryRun(dryRun) }
}

function fromQuery(query: URLSearchParams): DeleteOptions {
  const grace = query.get('gracePeriodSeconds')
  const policy = query.get('propagationPolicy')
  const orphan = query.get('orphanDependents')
  if (grace !== null && grace !== '' && !/^-?\d+$/.test(grace)) {
    throw badRequest(
      `gracePeriodSeconds: Invalid value: ${JSON.stringify(grace)}: must be a number`,
    )
  }
  return {
    ...(grace ? { gracePeriodSeconds: Number(grace) } : {}),
    ...(policy ? { propagationPolicy: policy } : {}),
    ...(orphan === null ? {} : { orphanDependents: isTrue(orphan) }),
  }
}

/** The parts we know, of the type they must have; the decoder has looked before. */
export function fromBody(body: Record<string, unknown>): DeleteOptions {
  const { gracePeriodSeconds, propagationPolicy, orphanDependents, preconditions, dryRun } = body
  return {
    ...(typeof gracePeriodSeconds === 'number' ? { gracePeriodSeconds } : {}),
    ...(typeof propagationPolicy === 'string' ? { propagationPolicy } : {}),
    ...(typeof orphanDependents === 'boolean' ? { orphanDependents } : {}),
    ...(isRecord(preconditions) ? { preconditions: preconditionsOf(preconditions) } : {}),
    ...(Array.isArray(dryRun) ? { dryRun: dryRun.map(String) } : {}),
  }
}

function preconditionsOf(value: Record<string, unknown>): {
  uid?: string
  resourceVersion?: string
} {
  const { uid, resourceVersion } = value
  return {
    ...(typeof uid === 'string' ? { uid } : {}),
    ...(typeof resourceVersion === 'string' ? { resourceVersion } : {}),
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
