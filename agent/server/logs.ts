// GET /containerLogs: what kubectl logs shows, with kubelet's words when there is nothing to show.

import type { ServerResponse } from 'node:http'
import { once } from 'node:events'
import { parseTime } from '#shared/time.ts'
import { openAll } from '../logs/log-file.ts'
import { readLog } from '../logs/read-log.ts'
import type { LogOptions } from '../logs/read-log.ts'
import { statusOf } from '../pods/status.ts'
import type { PodWorker } from '../pods/worker.ts'
import { HttpError } from './http-error.ts'

/** Sends a container's log; returns when it is over or the client has gone. */
export async function serveLogs(
  worker: PodWorker,
  container: string,
  query: URLSearchParams,
  response: ServerResponse,
): Promise<void> {
  const options = optionsOf(query, Date.now())
  const isPrevious = isOn(query, 'previous')
  const found = worker.logOf(container, isPrevious)
  if (!found) throw new HttpError(400, whyNot(worker, container, isPrevious))
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' })
  response.flushHeaders()
  const open = (): ReturnType<typeof openAll> => openAll(found.path)
  for await (const text of readLog(open, found.live, options, gone.signal)) {
    if (gone.signal.aborted) return
    if (!response.write(text))
      await Promise.race([once(response, 'drain'), once(response, 'close')])
  }
  response.end()
}

/** The options as kubectl sends them. `now` is milliseconds since 1970. */
export function optionsOf(query: URLSearchParams, now: number): LogOptions {
  const tailLines = whole(query, 'tailLines')
  const limitBytes = whole(query, 'limitBytes')
  const sinceSeconds = whole(query, 'sinceSeconds')
  const sinceTime = parseTime(query.get('sinceTime'))
  const sinceMs = sinceSeconds === undefined ? sinceTime : now - sinceSeconds * 1000
  const stream = query.get('stream')?.toLowerCase()
  return {
    follow: isOn(query, 'follow'),
    timestamps: isOn(query, 'timestamps'),
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(sinceMs === undefined ? {} : { sinceMs }),
    ...(stream === 'stdout' || stream === 'stderr' ? { stream } : {}),
  }
}

function whole(query: URLSearchParams, key: string): number | undefined {
  const text = query.get(key)
  if (text === null || text === '') return undefined
  if (!/^\d+$/.test(text)) throw new HttpError(400, `invalid ${key}: ${text}`)
  return Number(text)
}

function isOn(query: URLSearchParams, key: string): boolean {
  const text = query.get(key)
  return text === 'true' || text === '1'
}

function whyNot(worker: PodWorker, container: string, isPrevious: boolean): string {
  const pod = worker.record.pod.metadata.name
  if (isPrevious) {
    return `previous terminated container "${container}" in pod "${pod}" not found`
  }
  const status = statusOf(worker.record, undefined, '', Date.now())
  const all = [...(status.initContainerStatuses ?? []), ...(status.containerStatuses ?? [])]
  const waiting = all.find(({ name }) => name === container)?.state?.waiting
  if (!waiting) return `container "${container}" in pod "${pod}" is not available`
  const reason = waiting.reason ?? 'ContainerCreating'
  const isRefused = reason !== 'ContainerCreating' && reason !== 'PodInitializing'
  return isRefused
    ? `container "${container}" in pod "${pod}" is waiting to start: ${waiting.message ? describe(reason) : reason}`
    : `container "${container}" in pod "${pod}" is waiting to start: ${reason}`
}

/** Kubelet says what is being tried, not the whole story. */
function describe(reason: string): string {
  return /Image/.test(reason) ? 'trying and failing to pull image' : reason
}
