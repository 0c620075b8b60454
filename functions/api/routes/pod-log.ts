// `kubectl logs`: the api function asks the agent of the pod's node and passes its stream on. Where that
// has nothing to give or cannot be asked, it shows what the control plane has kept.

import { lastWordsOf, lastWordsOfGone, type ContainerWords } from '#shared/api/last-words.ts'
import type { Pod } from '#shared/api/pod.ts'
import { keyOf } from '#shared/key.ts'
import { showLog } from '#shared/log-lines.ts'
import { notFound, StatusError } from '#shared/status.ts'
import { parseTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { KindContext } from '../context.ts'
import { badRequest } from '../errors.ts'
import { warningHeader } from '../render.ts'

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
  const { info, query, view } = context
  const reader = await view.catchUp()
  const pod = reader.get(keyOf('pods', info.namespace, info.name)) as Pod | undefined
  checkNumbers(query)
  if (!pod) {
    const words = lastWordsOfGone(reader, info.namespace, info.name, query.get('container') ?? '')
    if (words) return lastWords(context, words, 'the pod is not there any more')
    throw notFound('pods', info.name)
  }
  const container = containerOf(pod, query.get('container') ?? '')
  const node = pod.spec.nodeName
  // Not scheduled yet: there is nothing to read, which is not an error.
  if (!node) return savedLog(context, reader, pod, container) ?? plainText('')
  try {
    return await agentLog(context, pod, container, node)
  } catch (error) {
    const why = error instanceof StatusError ? error.message : undefined
    const saved = why && savedLog(context, reader, pod, container, why)
    if (saved) return saved
    throw error
  }
}

/** What the control plane has kept of this log itself. */
function savedLog(
  context: KindContext,
  reader: Reader,
  pod: Pod,
  container: string,
  why = 'the pod has no node yet',
): Response | undefined {
  const isPrevious = ['true', '1'].includes(context.query.get('previous') ?? '')
  const words = lastWordsOf(reader, pod, container, isPrevious)
  return words && lastWords(context, words, why)
}

function lastWords({ query, now }: KindContext, words: ContainerWords, why: string): Response {
  const number = (name: string): number | undefined => {
    const value = query.get(name)
    return value === null ? undefined : Number(value)
  }
  const sinceSeconds = number('sinceSeconds')
  const sinceMs =
    sinceSeconds === undefined ? parseTime(query.get('sinceTime')) : now - sinceSeconds * 1000
  const [tailLines, limitBytes] = [number('tailLines'), number('limitBytes')]
  const text = showLog(words.log, {
    timestamps: ['true', '1'].includes(query.get('timestamps') ?? ''),
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
  })
  const { reason, exitCode } = words
  const warning = `${why}: these are the last words of a container that ended with exit code ${exitCode} (${reason})`
  return new Response(text, {
    headers: { 'content-type': 'text/plain', warning: warningHeader(warning) },
  })
}

async function agentLog(
  context: KindContext,
  { metadata }: Pod,
  container: string,
  node: string,
): Promise<Response> {
  const { deps, cluster, query } = context
  const endpoint = await deps.agentEndpoint?.(cluster, node)
  if (!endpoint) throw unreachable(node, 'its agent is not known')
  const path = [metadata.namespace ?? '', metadata.name, container].map(encodeURIComponent)
  const url = new URL(`${endpoint.url.replace(/\/$/, '')}/containerLogs/${path.join('/')}`)
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
