// labelSelector= and fieldSelector= of lists, watches and collection deletes.

import type { KindDefinition } from '#shared/api/kind.ts'
import { apiVersionOf } from '#shared/api/kind.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import { matches, parseSelector, type Selector } from '#shared/selector.ts'
import { badRequest } from './errors.ts'

interface FieldRequirement {
  field: string
  isNegated: boolean
  value: string
  textOf: (object: KubeObject) => string
}

export interface Selection {
  /** True for objects that the request is about. The object is in the kind's own shape. */
  includes(object: KubeObject): boolean
  /** Set when one name is selected: the object can be found without a search. */
  name?: string
  /** True when no selector was given. */
  isEverything: boolean
}

/** Reads both selectors. Error: BadRequest, in Kubernetes' words. */
export function selectionOf(kind: KindDefinition, query: URLSearchParams): Selection {
  const labels = parseSelector(query.get('labelSelector') ?? '')
  const fields = parseFieldSelector(kind, query)
  const name = fields.find((each) => each.field === 'metadata.name' && !each.isNegated)?.value
  return {
    includes: (object) => includes(object, labels, fields),
    ...(name === undefined ? {} : { name }),
    isEverything: labels.length === 0 && fields.length === 0,
  }
}

function includes(
  object: KubeObject,
  labels: Selector,
  fields: readonly FieldRequirement[],
): boolean {
  return (
    fields.every((field) => (field.textOf(object) === field.value) !== field.isNegated) &&
    matches(labels, object.metadata.labels)
  )
}

function parseFieldSelector(kind: KindDefinition, query: URLSearchParams): FieldRequirement[] {
  const text = query.get('fieldSelector') ?? ''
  return splitUnescaped(text).map((term) => {
    const match = /^((?:[^\\=!]|\\.)*?)(!=|==|=)(.*)$/s.exec(term)
    if (!match) throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`)
    const [, field = '', operator, value = ''] = match
    const textOf = fieldText(kind, field)
    if (!textOf) throw unsupportedField(kind, query, field)
    return { field, isNegated: operator === '!=', value: unescape(value), textOf }
  })
}

function fieldText(
  kind: KindDefinition,
  field: string,
): ((object: KubeObject) => string) | undefined {
  if (field === 'metadata.name') return (object) => object.metadata.name
  if (field === 'metadata.namespace') return (object) => object.metadata.namespace ?? ''
  return kind.fieldSelectors?.[field]
}

/** Terms are divided by commas; `\,`, `\=` and `\\` stand for themselves. */
function splitUnescaped(text: string): string[] {
  return (text.match(/(?:[^\\,]|\\.)+/gs) ?? []).map((term) => term.trim())
}

function unescape(value: string): string {
  return value.replace(/\\([\\,=])/g, '$1')
}

function unsupportedField(kind: KindDefinition, query: URLSearchParams, field: string): Error {
  return badRequest(
    `Unable to find "${apiVersionOf(kind) === 'v1' ? '/v1' : apiVersionOf(kind)}, Resource=${kind.plural}" ` +
      `that match label selector "${query.get('labelSelector') ?? ''}", ` +
      `field selector "${query.get('fieldSelector') ?? ''}": field label not supported: ${field}`,
  )
}
