// The last lines of a pod that fails, for whoever must repair it: asked from its node's agent, as
// `kubectl logs` does.

import type { Pod } from '#shared/api/pod.ts'
import type { DeploysDeps } from './deps.ts'

type Endpoint = (
  cluster: string,
  node: string,
) => Promise<{ url: string; token: string } | undefined>

const LINES = 20
const BYTES_MAX = 3000
const DEADLINE_MS = 3000

/** Undefined whenever there is nothing to show: a report must not wait for it. */
export function createLastLines(endpoint: Endpoint): NonNullable<DeploysDeps['lastLines']> {
  return async (cluster, pod) => {
    const node = pod.spec.nodeName
    const container = failingContainer(pod)
    if (!node || !container) return undefined
    try {
      const agent = await endpoint(cluster, node)
      if (!agent) return undefined
      const { namespace = '', name } = pod.metadata
      const path = [namespace, name, container.name].map(encodeURIComponent).join('/')
      const url = new URL(`${agent.url.replace(/\/$/, '')}/containerLogs/${path}`)
      url.searchParams.set('tailLines', String(LINES))
      if (container.hasEnded) url.searchParams.set('previous', 'true')
      const response = await fetch(url, {
        headers: { authorization: `Bearer ${agent.token}` },
        signal: AbortSignal.timeout(DEADLINE_MS),
      })
      const text = (await response.text()).trim()
      return response.ok && text !== '' ? text.slice(-BYTES_MAX) : undefined
    } catch {
      return undefined
    }
  }
}

function failingContainer({ spec, status }: Pod): { name: string; hasEnded: boolean } | undefined {
  const failing = (status?.containerStatuses ?? []).find(({ ready }) => !ready)
  const name = failing?.name ?? spec.containers[0]?.name
  if (!name) return undefined
  return { name, hasEnded: failing?.lastState?.terminated !== undefined && !failing.state?.running }
}
