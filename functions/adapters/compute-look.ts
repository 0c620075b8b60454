// How all VMs of Wherry in a project are, over REST: what the sweep asks once a minute. Two methods are all that it
// needs of Compute Engine, so it does not load the client.
// https://cloud.google.com/compute/docs/reference/rest/v1/instances/aggregatedList
// https://cloud.google.com/compute/docs/reference/rest/v1/instanceGroupManagers/listManagedInstances

import { GoogleAuth, type AuthClient } from 'google-auth-library'
import type { VmLook, VmState } from '#shared/ports/vm-look.ts'
import { StatusError } from '#shared/status.ts'
import { healthFrom } from './compute-health.ts'

export interface ComputeLookOptions {
  project: string
  /** The label that names a VM's cluster. */
  label: string
  /** Absent: Google's. */
  url?: string
  /** Absent: the machine's own credentials. */
  authClient?: AuthClient
  /** For each call. */
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

/** So many pages of up to 500 VMs, and no more: an answer that never ends is none. */
const PAGES_MAX = 200
/** So many groups are asked about at a time. */
const SIDE_BY_SIDE = 8

export function createComputeLook(options: ComputeLookOptions): VmLook {
  const { project, label, url = 'https://compute.googleapis.com', timeoutMs = 10_000 } = options
  const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/compute.readonly' })
  const root = `${url}/compute/v1/projects/${project}`

  async function read<Page>(
    method: 'GET' | 'POST',
    path: string,
    params: Record<string, string>,
  ): Promise<Page> {
    const client = options.authClient ?? (await auth.getClient())
    const { data } = await client.request<Page>({
      url: `${root}/${path}`,
      method,
      params: { maxResults: '500', ...params },
      timeout: timeoutMs,
    })
    return data
  }

  async function pagesOf<Page extends { nextPageToken?: string }>(
    method: 'GET' | 'POST',
    path: string,
    parameters: Record<string, string>,
  ): Promise<Page[]> {
    const pages: Page[] = []
    for (let token: string | undefined = ''; token !== undefined;) {
      if (pages.length === PAGES_MAX) throw new StatusError('ServiceUnavailable', `${path}: no end`)
      const more: Record<string, string> = token ? { pageToken: token } : {}
      const page: Page = await read<Page>(method, path, { ...parameters, ...more })
      pages.push(page)
      token = page.nextPageToken || undefined
    }
    return pages
  }

  async function listVms(): Promise<VmJson[]> {
    const pages = await pagesOf<AggregatedPage>('GET', 'aggregated/instances', {
      filter: `labels.${label}:*`,
      fields: 'items/*/warning,items/*/instances(id,status,labels,metadata/items),nextPageToken',
    })
    return pages.flatMap(({ items = {} }) =>
      Object.entries(items).flatMap(([scope, { instances = [], warning }]) => {
        // A zone that did not answer is not an empty zone.
        if (warning?.code && warning.code !== 'NO_RESULTS_ON_PAGE')
          throw new StatusError('ServiceUnavailable', `${scope}: ${warning.code}`)
        return instances
      }),
    )
  }

  /** By instance id. */
  async function healthIn(groups: readonly string[]): Promise<Map<string, boolean>> {
    const health = new Map<string, boolean>()
    const queue = [...groups]
    const work = async (): Promise<void> => {
      for (let group = queue.shift(); group; group = queue.shift()) {
        const pages = await pagesOf<MembersPage>('POST', `${group}/listManagedInstances`, {
          fields: 'managedInstances(id,instanceHealth),nextPageToken',
        })
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
    const vms = await listVms()
    const health = await healthIn([...new Set(vms.flatMap((vm) => groupOf(vm) ?? []))])
    return vms.map(({ id = '', status = '', labels }): VmState => ({
      cluster: labels?.[label] ?? '',
      id,
      status,
      isHealthy: health.get(id),
    }))
  }
}

/** Google writes into a VM's metadata which group made it: `projects/…/zones/Z/instanceGroupManagers/G`. */
function groupOf({ metadata }: VmJson): string | undefined {
  const link = metadata?.items?.find(({ key }) => key === 'created-by')?.value ?? ''
  return /zones\/[^/]+\/instanceGroupManagers\/[^/]+$/.exec(link)?.[0]
}
