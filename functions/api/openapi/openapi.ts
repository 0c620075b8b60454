// /openapi/v3 and /openapi/v2. Documents are made when first asked for and kept; each group and
// version has a URL with a hash in it, so that clients fetch it once and no more.

import { createHash } from 'node:crypto'
import { GIT_VERSION } from '#shared/version.ts'
import { parseAccept } from '../accept.ts'
import type { DiscoveredKind } from '../discovery.ts'
import { minimalV2, minimalV2Json, V2_PROTOBUF } from './minimal-v2.ts'
import { pathsOf } from './paths.ts'
import { schemasOf, type Descriptions, type GroupVersionKind } from './schemas.ts'

export interface OpenApi {
  /** The answer to an OpenAPI path, or undefined when the path is none. */
  respond(
    url: { path: string; query: URLSearchParams },
    headers: Headers,
  ): Promise<Response | undefined>
}

interface Document {
  body: string
  hash: string
}

const YEAR_SECONDS = 31_536_000

/** The OpenAPI of these kinds. */
export function createOpenApi(kinds: readonly DiscoveredKind[]): OpenApi {
  let made: Promise<Map<string, Document>> | undefined
  const documents = (): Promise<Map<string, Document>> => (made ??= makeDocuments(kinds))
  return {
    async respond({ path, query }, headers) {
      if (path === '/openapi/v2') return respondV2(headers)
      if (path === '/openapi/v3' || path === '/openapi/v3/') {
        return Response.json(openApiV3Index(await documents()))
      }
      const name = path.startsWith('/openapi/v3/') ? path.slice('/openapi/v3/'.length) : ''
      const document = name ? (await documents()).get(name) : undefined
      return document && respondV3(document, query.get('hash'), headers)
    },
  }
}

/** One group and version: its kinds with everything that they are made of. */
export function openApiV3(kinds: readonly DiscoveredKind[], descriptions: Descriptions): object {
  const subresourceKinds = kinds.flatMap(({ subresources }) =>
    subresources.flatMap(({ responseKind }) => responseKind ?? []),
  )
  const gvks: GroupVersionKind[] = [...kinds, ...subresourceKinds].map(
    ({ group, version, kind }) => ({ group, version, kind }),
  )
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: GIT_VERSION },
    paths: pathsOf(kinds),
    components: { schemas: schemasOf(gvks, descriptions) },
  }
}

/** Where each document is. */
function openApiV3Index(documents: ReadonlyMap<string, Document>): object {
  return {
    paths: Object.fromEntries(
      [...documents].map(([name, { hash }]) => [
        name,
        { serverRelativeURL: `/openapi/v3/${name}?hash=${hash}` },
      ]),
    ),
  }
}

async function makeDocuments(kinds: readonly DiscoveredKind[]): Promise<Map<string, Document>> {
  // Descriptions are most of what OpenAPI weighs: a process that is never asked does not load them.
  const { default: descriptions } = await import('./descriptions.json', { with: { type: 'json' } })
  const documents = new Map<string, Document>()
  const byName = Map.groupBy(kinds, ({ group, version }) =>
    group ? `apis/${group}/${version}` : `api/${version}`,
  )
  for (const [name, members] of byName) {
    const body = JSON.stringify(openApiV3(members, descriptions))
    const hash = createHash('sha256').update(body).digest('hex').slice(0, 32).toUpperCase()
    documents.set(name, { body, hash })
  }
  return documents
}

function respondV3({ body, hash }: Document, asked: string | null, headers: Headers): Response {
  const etag = `"${hash}"`
  const caching = {
    etag,
    vary: 'Accept',
    ...(asked === hash ? { 'cache-control': `public, immutable, max-age=${YEAR_SECONDS}` } : {}),
  }
  if (headers.get('if-none-match') === etag)
    return new Response(null, { status: 304, headers: caching })
  return new Response(body, { headers: { 'content-type': 'application/json', ...caching } })
}

function respondV2(headers: Headers): Response {
  const wantsProtobuf = parseAccept(headers.get('accept')).some(({ type }) =>
    type.startsWith('application/com.github.proto-openapi.spec.v2'),
  )
  return wantsProtobuf
    ? new Response(minimalV2(GIT_VERSION), { headers: { 'content-type': V2_PROTOBUF } })
    : Response.json(minimalV2Json(GIT_VERSION))
}
