// How all VMs of Wherry in a project are, over REST: what the sweep asks once a minute. Two methods are all that it
// needs of Compute Engine, so it does not load the client.
// https://cloud.google.com/compute/docs/reference/rest/v1/instances/aggregatedList
// https://cloud.google.com/compute/docs/reference/rest/v1/instanceGroupManagers/listManagedInstances

import { GoogleAuth, type AuthClient } from 'google-auth-library'
import type { VmLook, VmState } from '#shared/ports/vm-look.ts'
import { StatusError } from '#shared/status.ts'
import { groupOf, healthFrom, needAnswer } from './compute-answers.ts'

export interface ComputeLookOptions {
  project: string
  /** The label that names a VM's cluster. */
  label: string
  /** Absent: Google's. */
  url?: string
  /** Absent: the machine's own credentials. */
  authClient?: AuthClient
  /** For all of it: nothing is tried again, the next minute is soon enough. */
  timeoutMs?: number
}

interface VmJson {
  id?: string
  status?: string
  labels?: Record<string, string>
  metadata?: { items?: { key?: string; value?: string }[] }
}

interface AggregatedPage {
  items?: Record<string, { instances?: VmJson[]; warning?: { code?: string; message?: string } }>
  nextPageToken?: string
}

interface MembersPage {
  managedInstances?: { id?: string; instanceHealth?: { detailedHealthState?: string }[] }[]
  nextPageToken?: string
}

interface Call {
  method: 'GET' | 'POST'
  path: string
  params: Record<string, string>
  signal: AbortSignal
}

/** So many pages of up to 500 VMs, and no more: an answer that never ends is none. */
const PAGES_MAX = 200
/** What a link to a group ends with. */
const GROUP = /zones\/[^/]+\/instanceGroupManagers\/[^/]+$/
/** So many groups are asked about at a time. */
const SIDE_BY_SIDE = 8

export function createComputeLook(options: ComputeLookOptions): VmLook {
  const { project, label, url = 'https://compute.googleapis.com', timeoutMs = 10_000 } = options
  const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/compute.readonly' })
  const root = `${url}/compute/v1/projects/${project}`

  async function read<Page>({ method, path, params, signal }: Call): Promise<Page> {
    const client = options.authClient ?? (await auth.getClient())
    const { data } = await client.request<Page>({
      url: `${root}/${path}`,
      method,
      params: { maxResults: '500', ...params },
      signal,
      retry: false,
    })
    return data
  }

  async function pagesOf<Page extends { nextPageToken?: string }>(call: Call): Promise<Page[]> {
    const pages: Page[] = []
    for (let token: string | undefined = ''; token !== undefined;) {
      if (pages.length === PAGES_MAX)
        throw new StatusError('ServiceUnavailable', `${call.path}: no end`)
      const more: Record<string, string> = token ? { pageToken: token } : {}
      const page: Page = await read<Page>({ ...call, params: { ...call.params, ...more } })
      pages.push(page)
      token = page.nextPageToken || undefined
    }
    return pages
  }

  async function listVms(signal: AbortSignal): Promise<VmJson[]> {
    const fields =
      'items/*/warning,items/*/instances(id,status,labels,metadata/items),nextPageToken'
    const pages = await pagesOf<AggregatedPage>({
      method: 'GET',
      path: 'aggregated/instances',
      params: { filter: `labels.${label}:*`, fields },
      signal,
    })
    return pages.flatMap(({ items = {} }) =>
      Object.entries(items).flatMap(([scope, { instances = [], warning }]) => {
        needAnswer(scope, warning)
        return instances
      }),
    )
  }

  /** None of a group that was deleted meanwhile. */
  async function membersOf(group: string, signal: AbortSignal): Promise<MembersPage[]> {
    try {
      return await pagesOf<MembersPage>({
        method: 'POST',
        path: `${group}/listManagedInstances`,
        params: { fields: 'managedInstances(id,instanceHealth),nextPageToken' },
        signal,
      })
    } catch (error) {
      if (error instanceof Error && 'status' in error && error.status === 404) return []
      throw error
    }
  }

  /** By instance id. */
  async function healthIn(
    groups: readonly string[],
    signal: AbortSignal,
  ): Promise<Map<string, boolean>> {
    const health = new Map<string, boolean>()
    const queue = [...groups]
    const work = async (): Promise<void> => {
      for (let group = queue.shift(); group; group = queue.shift()) {
        const pages = await membersOf(group, signal)
        for (const { id, instanceHealth } of pages.flatMap((page) => page.managedInstances ?? [])) {
          const isHealthy = healthFrom(instanceHealth?.[0]?.detailedHealthState)
          if (id && isHealthy !== undefined) health.set(id, isHealthy)
        }
      }
    }
    await Promise.all(Array.from({ length: SIDE_BY_SIDE }, work))
    return health
  }

  return async () => {
    const signal = AbortSignal.timeout(timeoutMs)
    const vms = await listVms(signal)
    const groups = vms.flatMap((vm) => GROUP.exec(groupOf(vm) ?? '')?.[0] ?? [])
    const health = await healthIn([...new Set(groups)], signal)
    return vms.map(({ id = '', status = '', labels }): VmState => ({
      cluster: labels?.[label] ?? '',
      id,
      status,
      isHealthy: health.get(id),
    }))
  }
}
