// How lists are answered: filter, pages, and the aggregated form over all zones or regions.

import { parseFilter } from './filter.ts'
import { GoogleError } from './google-error.ts'
import { API_ROOT, type Scope } from './state.ts'

export interface ListQuery {
  filter?: string | undefined
  maxResults?: string | undefined
  pageToken?: string | undefined
}

const PAGE_MAX = 500

interface Page {
  items: object[]
  nextPageToken?: string
}

/** One page of the resources, by path. A page token is the path of the page's last item. */
function pageOf<T>(
  entries: [string, T][],
  query: ListQuery,
): { items: [string, T][]; next?: string } {
  const matches = parseFilter(query.filter)
  const after = query.pageToken ? decodeToken(query.pageToken) : ''
  const size = query.maxResults ? Number(query.maxResults) : PAGE_MAX
  if (!Number.isInteger(size) || size < 0 || size > PAGE_MAX) {
    throw new GoogleError(
      'invalid',
      `Invalid value for field 'maxResults': '${query.maxResults}'. Must be between 0 and ${PAGE_MAX}.`,
    )
  }
  const found = entries
    .filter(([path, item]) => path > after && matches(item))
    .toSorted(([left], [right]) => (left < right ? -1 : 1))
  const items = found.slice(0, size || PAGE_MAX)
  const last = items.at(-1)
  return found.length > items.length && last ? { items, next: encodeToken(last[0]) } : { items }
}

/** `compute#instanceList`. `path` is `zones/z/instances`. */
export function listOf(
  kind: string,
  project: string,
  path: string,
  entries: [string, object][],
  query: ListQuery,
): object {
  const { items, next } = pageOf(entries, query)
  const page: Page = { items: items.map(([, item]) => item) }
  if (next) page.nextPageToken = next
  return {
    kind,
    id: `projects/${project}/${path}`,
    selfLink: `${API_ROOT}projects/${project}/${path}`,
    ...page,
  }
}

/** `compute#instanceAggregatedList`: `items` is always there, gcloud needs it. */
export function aggregatedListOf(
  {
    kind,
    plural,
    project,
    scopes,
  }: { kind: string; plural: string; project: string; scopes: Scope[] },
  entries: [string, object][],
  query: ListQuery,
): object {
  const { items, next } = pageOf(entries, query)
  const byScope: Record<string, object> = {}
  for (const scope of scopes) {
    const inScope = items.filter(([path]) => path.startsWith(`${scope}/`)).map(([, item]) => item)
    byScope[scope] = inScope.length > 0 ? { [plural]: inScope } : nothingIn(scope)
  }
  return {
    kind,
    id: `projects/${project}/aggregated/${plural}`,
    selfLink: `${API_ROOT}projects/${project}/aggregated/${plural}`,
    items: byScope,
    ...(next ? { nextPageToken: next } : {}),
  }
}

function nothingIn(scope: Scope): object {
  return {
    warning: {
      code: 'NO_RESULTS_ON_PAGE',
      message: `There are no results for scope '${scope}' on this page.`,
      data: [{ key: 'scope', value: scope }],
    },
  }
}

function encodeToken(path: string): string {
  return Buffer.from(path).toString('base64url')
}

function decodeToken(token: string): string {
  return Buffer.from(token, 'base64url').toString()
}
