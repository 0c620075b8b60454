// The last lines of a pod that fails, for whoever must repair it: what the control plane keeps of them,
// or else asked from its node's agent, as `kubectl logs` does.

import { lastWordsOf } from '#shared/api/last-words.ts'
import type { Pod } from '#shared/api/pod.ts'
import { showLog } from '#shared/log-lines.ts'
import type { DeploysDeps } from './deps.ts'

type Endpoint = (
  cluster: string,
  node: string,
) => Promise<{ url: string; token: string } | undefined>

const LINES = 20
const BYTES_MAX = 3000
const DEADLINE_MS = 3000

/**
 * Undefined whenever there is nothing to show: a report must not wait for it. What the control plane
 * keeps of the end comes first; without `endpoint` it is all there is.
 */
export function createLastLines(endpoint?: Endpoint): NonNullable<DeploysDeps['lastLines']> {
  return async (cluster, pod, reader) => {
    const container = failingContainer(pod)
    if (!container) return undefined
    const kept = lastWordsOf(reader, pod, container.name, container.hasEnded)
    if (kept) return shown(showLog(kept.log, { timestamps: false, tailLines: LINES }))
    const node = pod.spec.nodeName
    return node && endpoint ? askAgent(endpoint, { cluster, node, pod, container }) : undefined
  }
}

interface Asked {
  cluster: string
  node: string
  pod: Pod
  container: Failing
}

async function askAgent(
  endpoint: Endpoint,
  { cluster, node, pod, container }: Asked,
): Promise<string | undefined> {
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
    const text = await response.text()
    return response.ok ? shown(text) : undefined
  } catch {
    return undefined
  }
}

function shown(text: string): string | undefined {
  const trimmed = text.trim()
  return trimmed === '' ? undefined : trimmed.slice(-BYTES_MAX)
}

interface Failing {
  name: string
  /** What it said is that of a run before. */
  hasEnded: boolean
}

function failingContainer({ spec, status }: Pod): Failing | undefined {
  const failing = (status?.containerStatuses ?? []).find(({ ready }) => !ready)
  const name = failing?.name ?? spec.containers[0]?.name
  if (!name) return undefined
  return { name, hasEnded: failing?.lastState?.terminated !== undefined && !failing.state?.running }
}
