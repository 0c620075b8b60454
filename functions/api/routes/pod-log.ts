// `kubectl logs`: the api function asks the agent of the pod's node and passes its stream on.

import type { Pod } from '#shared/api/pod.ts'
import { keyOf } from '#shared/key.ts'
import { notFound, StatusError } from '#shared/status.ts'
import type { KindContext } from '../context.ts'
import { badRequest } from '../errors.ts'

/** The agent's parameters are kubelet's, which are kubectl's. */
const PARAMETERS = [
  'follow',
  'previous',
  'sinceSeconds',
  'sinceTime',
  'timestamps',
  'tailLines',
  'limitBytes',
]
const CONNECT_MS = 10_000

/** GET pods/NAME/log. */
export async function podLog(context: KindContext): Promise<Response> {
  const { info, query, view, deps, cluster } = context
  const reader = await view.catchUp()
  const pod = reader.get(keyOf('pods', info.namespace, info.name)) as Pod | undefined
  if (!pod) throw notFound('pods', info.name)
  checkNumbers(query)
  const container = containerOf(pod, query.get('container') ?? '')
  const node = pod.spec.nodeName
  // Not scheduled yet: there is nothing to read, which is not an error.
  if (!node) return plainText('')
  const endpoint = await deps.agentEndpoint?.(cluster, node)
  if (!endpoint) throw unreachable(node, 'its agent is not known')
  const url = new URL(
    `${endpoint.url.replace(/\/$/, '')}/containerLogs/${encodeURIComponent(info.namespace)}/${encodeURIComponent(info.name)}/${encodeURIComponent(container)}`,
  )
  for (const name of PARAMETERS) {
    const value = query.get(name)
    if (value !== null) url.searchParams.set(name, value)
  }
  return proxyLog(context, url, { token: endpoint.token, node, container })
}

async function proxyLog(
  { request, deps }: KindContext,
  url: URL,
  { token, node, container }: { token: string; node: string; container: string },
): Promise<Response> {
  const connected = new AbortController()
  const late = new AbortController()
  const abortLate = async (): Promise<void> => {
    await deps.clock.sleep(CONNECT_MS, connected.signal)
    if (!connected.signal.aborted) late.abort()
  }
  void abortLate()
  let response: Response
  try {
    response = await fetch(url, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.any([request.signal, late.signal]),
    })
  } catch (error) {
    throw unreachable(node, error instanceof Error ? error.message : String(error))
  } finally {
    connected.abort()
  }
  if (response.ok) {
    return new Response(response.body, { headers: { 'content-type': 'text/plain' } })
  }
  const text = (await response.text()).trim()
  if (response.status === 404 || response.status === 400) {
    throw badRequest(text || `container "${container}" has no log`)
  }
  throw unreachable(node, text || `it answered ${response.status}`)
}

/** The container asked for, or the only one. Errors: BadRequest, in Kubernetes' words. */
export function containerOf(pod: Pod, asked: string): string {
  const { name } = pod.metadata
  const { containers, initContainers = [], ephemeralContainers = [] } = pod.spec
  const all = [...containers, ...initContainers, ...ephemeralContainers]
  if (asked) {
    if (all.some((each) => each.name === asked)) return asked
    throw badRequest(`container ${asked} is not valid for pod ${name}`)
  }
  const byDefault = pod.metadata.annotations?.['kubectl.kubernetes.io/default-container']
  if (byDefault && all.some((each) => each.name === byDefault)) return byDefault
  const only = containers[0]
  if (containers.length === 1 && initContainers.length === 0 && only) return only.name
  const inits =
    initContainers.length > 0 ? ` or one of the init containers: [${namesOf(initContainers)}]` : ''
  throw badRequest(
    `a container name must be specified for pod ${name}, choose one of: [${namesOf(containers)}]${inits}`,
  )
}

function namesOf(containers: readonly { name: string }[]): string {
  return containers.map((each) => each.name).join(' ')
}

function checkNumbers(query: URLSearchParams): void {
  for (const name of ['tailLines', 'sinceSeconds', 'limitBytes']) {
    const value = query.get(name)
    if (value !== null && !/^\d+$/.test(value)) {
      throw badRequest(`${name}: Invalid value: ${JSON.stringify(value)}: must be a number`)
    }
  }
}

function plainText(text: string): Response {
  return new Response(text, { headers: { 'content-type': 'text/plain' } })
}

function unreachable(node: string, why: string): StatusError {
  return new StatusError(
    'ServiceUnavailable',
    `the agent of node "${node}" cannot be asked: ${why}`,
  )
}
