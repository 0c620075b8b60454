// Query parameters that all writes share.

import { isDryRun, type ApiContext } from './context.ts'
import { badRequest } from './errors.ts'

/** dryRun=All: everything but the commit. Error: BadRequest for another value. */
export function wantsDryRun({ query }: ApiContext): boolean {
  return isDryRun(query.getAll('dryRun'))
}

export type FieldValidation = 'Strict' | 'Warn' | 'Ignore'

/** What happens to fields that do not exist; Warn unless said otherwise. Error: BadRequest. */
export function fieldValidationOf({ query }: ApiContext): FieldValidation {
  const value = query.get('fieldValidation')
  if (value === null || value === '') return 'Warn'
  if (value === 'Strict' || value === 'Warn' || value === 'Ignore') return value
  throw badRequest(
    `fieldValidation: Unsupported value: ${JSON.stringify(value)}: supported values: "Ignore", "Strict", "Warn"`,
  )
}

const MANAGER_LENGTH_MAX = 128

/** Who writes: the parameter, or the first word of the User-Agent, as Kubernetes does. */
export function fieldManagerOf({ query, request }: ApiContext): string {
  const named = query.get('fieldManager')
  if (named) {
    if (named.length > MANAGER_LENGTH_MAX) {
      throw badRequest(`fieldManager: Too long: may not be more than ${MANAGER_LENGTH_MAX} bytes`)
    }
    return named
  }
  const agent = request.headers.get('user-agent') ?? ''
  return (agent.split('/')[0] ?? '').slice(0, MANAGER_LENGTH_MAX) || 'unknown'
}
