// From bytes to an object of the kind that the URL is about: JSON, YAML or protobuf, its kind
// checked or filled in, its fields checked against the schema.

import {
  mediaTypeOf,
  parseJson,
  parseYamlText,
  readBody,
  textOf,
  unsupportedMediaType,
} from './body.ts'
import type { ApiContext } from './context.ts'
import { badRequest } from './errors.ts'
import { checkFields } from './field-check.ts'
import { decodeProtobuf } from './protobuf.ts'
import type { Body } from './strategy.ts'

/** What the body must be. */
export interface Expected {
  group: string
  version: string
  kind: string
}

const JSON_TYPE = 'application/json'
const YAML_TYPE = 'application/yaml'
const PROTOBUF_TYPE = 'application/vnd.kubernetes.protobuf'

/** The object in the body. Errors: BadRequest, UnsupportedMediaType, RequestEntityTooLarge. */
export function decodeObject(context: ApiContext, expected: Expected): Promise<Body> {
  return decodeAs(context, [expected])
}

/** As decodeObject, where several versions will do; the first is what an unnamed body is. */
export async function decodeAs(context: ApiContext, accepted: readonly Expected[]): Promise<Body> {
  const bytes = await readBody(context.request)
  const parsed = parse(bytes, mediaTypeOf(context.request))
  const expected = checkKind(parsed.value, accepted)
  return checkFields(context, parsed, expected)
}

/** A body of options; undefined when there is none. The kind may be of any group, as in Kubernetes. */
export async function decodeOptions(context: ApiContext, kind: string): Promise<Body | undefined> {
  const bytes = await readBody(context.request)
  if (bytes.length === 0) return undefined
  const parsed = parse(bytes, mediaTypeOf(context.request))
  const sent = parsed.value['kind']
  if (typeof sent === 'string' && sent && sent !== kind) {
    throw badRequest(`${sent} cannot be handled as ${kind}`)
  }
  return checkFields(context, parsed, { group: 'meta', version: 'v1', kind })
}

export interface ParsedBody {
  value: Body
  /** The text it was, for what parsing loses (duplicate fields); absent for protobuf. */
  json?: string
}

/** Error: BadRequest when it is no object, UnsupportedMediaType. */
export function parse(bytes: Uint8Array, mediaType: string): ParsedBody {
  switch (mediaType) {
    case '':
    case JSON_TYPE:
    case '*/*': {
      const json = textOf(bytes)
      return { value: objectOf(parseJson(json)), json }
    }
    case YAML_TYPE:
      return { value: objectOf(parseYamlText(textOf(bytes))) }
    case PROTOBUF_TYPE:
      return { value: objectOf(decodeProtobuf(bytes).object) }
    default:
      throw unsupportedMediaType([JSON_TYPE, YAML_TYPE, PROTOBUF_TYPE])
  }
}

function objectOf(value: unknown): Body {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badRequest(
      "couldn't get version/kind; json parse error: json: cannot unmarshal into Go value of type struct",
    )
  }
  const { metadata } = value as { metadata?: unknown }
  const isOk =
    metadata === undefined ||
    metadata === null ||
    (typeof metadata === 'object' && !Array.isArray(metadata))
  if (!isOk) throw badRequest('metadata must be an object')
  return value as Body
}

/** Fills in what is missing, refuses what is another kind. Error: BadRequest. */
export function checkKind(value: Body, accepted: readonly Expected[]): Expected {
  const [first] = accepted
  if (!first) throw new Error('nothing would be accepted')
  const kind = textMember(value, 'kind')
  const apiVersion = textMember(value, 'apiVersion')
  const found = accepted.find(
    (each) =>
      (kind === '' || each.kind === kind) &&
      (apiVersion === '' || apiVersionText(each) === apiVersion),
  )
  if (found) {
    value['kind'] = found.kind
    value['apiVersion'] = apiVersionText(found)
    return found
  }
  const sent = kind || first.kind
  const version = apiVersion || apiVersionText(first)
  if (sent === first.kind) {
    throw badRequest(
      `the API version in the data (${version}) does not match the expected API version (${apiVersionText(first)})`,
    )
  }
  const ofGroup = version.slice(version.indexOf('/') + 1)
  throw badRequest(
    `${sent} in version "${ofGroup}" cannot be handled as a ${first.kind}: converting ` +
      `(${ofGroup}.${sent}) to (${packageOf(first.group)}.${first.kind}): unknown conversion`,
  )
}

function packageOf(group: string): string {
  return group.split('.')[0] || 'core'
}

function textMember(value: Body, name: string): string {
  const member = value[name]
  return typeof member === 'string' ? member : ''
}

export function apiVersionText({ group, version }: Expected): string {
  return group ? `${group}/${version}` : version
}
