// Answers in the shape the client asked for: objects as they are, tables, metadata only.

import { gzip } from 'node:zlib'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import type { Cell, Column, KindDefinition } from '#shared/api/kind.ts'
import type { KubeObject, ObjectMeta } from '#shared/api/meta.ts'
import { notAcceptable, type Shape } from './accept.ts'

const gzipped = promisify(gzip)

/** As kube-apiserver: smaller answers are not worth it. */
const COMPRESS_ABOVE_BYTES = 128 * 1024

interface ListMeta {
  resourceVersion?: string
  continue?: string
  remainingItemCount?: number
}

export interface TableRow {
  cells: Cell[]
  conditions?: { type: string; status: string; reason?: string }[]
  object?: unknown
}

export interface Table {
  kind: 'Table'
  apiVersion: string
  metadata: ListMeta
  columnDefinitions: readonly Column[] | null
  rows: TableRow[]
}

/** What a row carries of its object: nothing, its metadata, or all of it. */
export type IncludeObject = 'None' | 'Metadata' | 'Object'

export function includeObjectOf(query: URLSearchParams): IncludeObject {
  const value = query.get('includeObject')
  return value === 'None' || value === 'Object' ? value : 'Metadata'
}

export interface Rendering {
  kind: KindDefinition
  shape: Shape
  includeObject: IncludeObject
  now: number
}

/** One object, as asked for. Error: NotAcceptable when it has no such shape. */
export function renderObject(object: KubeObject, rendering: Rendering): unknown {
  switch (rendering.shape.as) {
    case 'object':
      return object
    case 'partial':
      return partialOf(object, rendering.shape.version)
    case 'table': {
      const metadata = { resourceVersion: object.metadata.resourceVersion ?? '' }
      return tableOf([object], metadata, rendering)
    }
    case 'partialList':
    default:
      throw notAcceptable()
  }
}

/** Many objects, as asked for. */
export function renderList(
  objects: readonly KubeObject[],
  metadata: ListMeta,
  rendering: Rendering,
): unknown {
  const { kind, shape } = rendering
  switch (shape.as) {
    case 'object': {
      const apiVersion = kind.group ? `${kind.group}/${kind.version}` : kind.version
      return { kind: kind.listKind ?? `${kind.kind}List`, apiVersion, metadata, items: objects }
    }
    case 'partialList':
      return {
        kind: 'PartialObjectMetadataList',
        apiVersion: `meta.k8s.io/${shape.version}`,
        metadata,
        items: objects.map((object) => partialOf(object, shape.version)),
      }
    case 'table':
      return tableOf(objects, metadata, rendering)
    case 'partial':
    default:
      throw notAcceptable()
  }
}

/** Rows of `kubectl get`. */
export function tableOf(
  objects: readonly KubeObject[],
  metadata: ListMeta,
  { kind, shape, includeObject, now }: Rendering,
): Table {
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${shape.version}`,
    metadata,
    columnDefinitions: kind.columns,
    rows: objects.map((object) => ({
      cells: kind.cells(object, { now }),
      ...rowConditions(object),
      ...rowObject(object, includeObject, shape.version),
    })),
  }
}

/** kubectl greys out pods that are done. */
function rowConditions(object: KubeObject & { status?: unknown }): Pick<TableRow, 'conditions'> {
  if (object.kind !== 'Pod') return {}
  const status: { phase?: unknown } =
    typeof object.status === 'object' && object.status !== null ? object.status : {}
  const { phase } = status
  if (phase !== 'Succeeded' && phase !== 'Failed') return {}
  return { conditions: [{ type: 'Completed', status: 'True', reason: phase }] }
}

function rowObject(
  object: KubeObject,
  include: IncludeObject,
  version: string,
): Pick<TableRow, 'object'> {
  if (include === 'None') return {}
  return { object: include === 'Object' ? object : partialOf(object, version) }
}

function partialOf(
  object: KubeObject,
  version: string,
): { kind: string; apiVersion: string; metadata: ObjectMeta } {
  return {
    kind: 'PartialObjectMetadata',
    apiVersion: `meta.k8s.io/${version}`,
    metadata: object.metadata,
  }
}

export interface SendOptions {
  status?: number
  warnings?: readonly string[]
  format?: Shape['format']
  acceptEncoding?: string | null
}

/** A body as JSON (or YAML), with Warning headers; large ones are compressed. */
export async function send(body: unknown, options: SendOptions = {}): Promise<Response> {
  const headers = new Headers()
  for (const warning of options.warnings ?? []) headers.append('warning', warningHeader(warning))
  const isYaml = options.format === 'yaml'
  headers.set('content-type', isYaml ? 'application/yaml' : 'application/json')
  const text = isYaml ? stringify(body) : `${JSON.stringify(body)}\n`
  const status = options.status ?? 200
  const mayCompress = /\bgzip\b/.test(options.acceptEncoding ?? '')
  if (!mayCompress || text.length < COMPRESS_ABOVE_BYTES) {
    return new Response(text, { status, headers })
  }
  headers.set('content-encoding', 'gzip')
  headers.set('vary', 'accept-encoding')
  const bytes = await gzipped(text, { level: 1 })
  return new Response(new Uint8Array(bytes), { status, headers })
}

/** RFC 7234 warn-text, which kubectl prints; header values are bytes, so what is beyond Latin-1 is left out. */
export function warningHeader(text: string): string {
  const printable = text.replace(/[^\x20-\x7e\xa0-\xff]/g, '?')
  return `299 - "${printable.replace(/["\\]/g, '\\$&')}"`
}
