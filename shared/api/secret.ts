// The kind Secret: keys, size, what each type must hold, immutability. (Its type is in config.ts.)

import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, ageOf, column } from './columns.ts'
import { CONFIG_BYTES_MAX, base64Bytes, validateBase64, validateFrozen } from './config-map.ts'
import type { Secret } from './config.ts'
import { IMMUTABLE, at, invalidValue, required, tooLong } from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import { validateMeta } from './meta-validation.ts'
import { configKeyProblems } from './name-rules.ts'

export const secretKind: KindDefinition<Secret> = {
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  singular: 'secret',
  shortNames: [],
  categories: [],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [],
  columns: [
    NAME_COLUMN,
    column('Type', 'What kind of credentials it holds.'),
    column('Data', 'How many entries it holds.', 'integer'),
    AGE_COLUMN,
  ],
  cells: (secret, context) => [
    secret.metadata.name,
    secret.type ?? '',
    Object.keys(secret.data ?? {}).length,
    ageOf(secret, context),
  ],
  applyDefaults(draft) {
    draft.type ||= 'Opaque'
    if (!draft.stringData) return
    draft.data = { ...draft.data }
    for (const [key, value] of Object.entries(draft.stringData)) draft.data[key] = toBase64(value)
    delete draft.stringData
  },
  validate: validateSecret,
  hasStatus: false,
  hasGeneration: false,
  fieldSelectors: { type: (secret) => secret.type ?? '' },
}

/** The base64 of a text's UTF-8 bytes. */
function toBase64(text: string): string {
  let binary = ''
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte)
  return btoa(binary)
}

/** The keys that a Secret of a well-known type must hold. */
const KEYS_OF_TYPE: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/dockercfg': ['.dockercfg'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
}

const SERVICE_ACCOUNT_ANNOTATION = 'kubernetes.io/service-account.name'

function validateSecret(secret: Secret, context: AdmissionContext): Cause[] {
  const causes = validateMeta(secret, { isNamespaced: true }, context)
  const data = secret.data ?? {}
  let bytes = 0
  for (const [key, value] of Object.entries(data)) {
    const field = at('data', key)
    for (const problem of configKeyProblems(key)) causes.push(invalidValue(field, key, problem))
    causes.push(...validateBase64(field, value))
    if (typeof value === 'string') bytes += base64Bytes(value)
  }
  if (bytes > CONFIG_BYTES_MAX) causes.push(tooLong('data', CONFIG_BYTES_MAX))
  causes.push(...validateType(secret, data))
  const old = oldOf(secret, context)
  if (old) {
    if (old.type !== undefined && old.type !== secret.type) {
      causes.push(invalidValue('type', secret.type, IMMUTABLE))
    }
    causes.push(...validateFrozen(secret, old, ['data']))
  }
  return causes
}

function validateType(secret: Secret, data: Record<string, string>): Cause[] {
  const type = secret.type ?? ''
  if (type === 'kubernetes.io/service-account-token') {
    return secret.metadata?.annotations?.[SERVICE_ACCOUNT_ANNOTATION]
      ? []
      : [required(at('metadata.annotations', SERVICE_ACCOUNT_ANNOTATION))]
  }
  if (type === 'kubernetes.io/basic-auth') {
    return 'username' in data || 'password' in data
      ? []
      : [required(at('data', 'username')), required(at('data', 'password'))]
  }
  return (KEYS_OF_TYPE[type] ?? [])
    .filter((key) => !(key in data))
    .map((key) => required(at('data', key)))
}
