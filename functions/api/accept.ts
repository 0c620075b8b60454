// Content negotiation: which form of the answer the client prefers among those there are.

import { StatusError } from '#shared/status.ts'

/** How an answer is shaped. Always JSON (or YAML, of single objects). */
export interface Shape {
  as: 'object' | 'table' | 'partial' | 'partialList'
  /** The version of meta.k8s.io for tables and partial objects. */
  version: 'v1' | 'v1beta1'
  format: 'json' | 'yaml'
}

export interface MediaRange {
  type: string
  parameters: Record<string, string>
}

const PLAIN: Shape = { as: 'object', version: 'v1', format: 'json' }

const SHAPES: Record<string, Shape['as']> = {
  Table: 'table',
  PartialObjectMetadata: 'partial',
  PartialObjectMetadataList: 'partialList',
}

const SUPPORTED = 'application/json, application/yaml'

/** The ranges of an Accept header, in the client's order of preference (q decides, then place). */
export function parseAccept(header: string | null): MediaRange[] {
  return (header ?? '')
    .split(',')
    .map((part) => parseRange(part))
    .filter((range) => range.type !== '')
    .map((range, place) => ({ range, place, q: Number(range.parameters['q'] ?? '1') }))
    .sort((a, b) => b.q - a.q || a.place - b.place)
    .map((item) => item.range)
}

function parseRange(text: string): MediaRange {
  const [type = '', ...rest] = text.split(';')
  const parameters: Record<string, string> = {}
  for (const item of rest) {
    const equals = item.indexOf('=')
    if (equals > 0) parameters[item.slice(0, equals).trim()] = item.slice(equals + 1).trim()
  }
  return { type: type.trim().toLowerCase(), parameters }
}

/**
 * The first supported range wins. An `as=` that is not supported is passed over, so that
 * `…;as=Table,application/json` works. Error: NotAcceptable.
 */
export function negotiate(header: string | null): Shape {
  const ranges = parseAccept(header)
  if (ranges.length === 0) return PLAIN
  for (const range of ranges) {
    const shape = shapeOf(range)
    if (shape) return shape
  }
  throw notAcceptable()
}

/** The refusal of an Accept header that names nothing we can send. */
export function notAcceptable(supported: string = SUPPORTED): StatusError {
  return new StatusError(
    'NotAcceptable',
    `only the following media types are accepted: ${supported}`,
  )
}

function shapeOf(range: MediaRange): Shape | undefined {
  const format = formatOf(range.type)
  if (!format) return undefined
  const { as, v, g } = range.parameters
  if (as === undefined) return { ...PLAIN, format }
  const kind = SHAPES[as]
  if (!kind || g !== 'meta.k8s.io' || (v !== 'v1' && v !== 'v1beta1')) return undefined
  return { as: kind, version: v, format }
}

function formatOf(type: string): Shape['format'] | undefined {
  if (type === 'application/json' || type === '*/*' || type === 'application/*') return 'json'
  return type === 'application/yaml' ? 'yaml' : undefined
}
