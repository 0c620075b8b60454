// The engine's API as this runtime uses it: dockerode, with bounds on what may hang and errors in
// kubelet's words.

import { request } from 'node:http'
import Docker from 'dockerode'
import { isRecord } from '../../json.ts'

/** By these a container says whose it is; the names are those that dockershim used. */
export const LABELS = {
  owner: 'dev.wherry.agent',
  id: 'dev.wherry.id',
  type: 'io.kubernetes.docker.type',
  podUid: 'io.kubernetes.pod.uid',
  podName: 'io.kubernetes.pod.name',
  namespace: 'io.kubernetes.pod.namespace',
  container: 'io.kubernetes.container.name',
  attempt: 'io.kubernetes.container.restartCount',
} as const

export const SANDBOX = 'podsandbox'
export const CONTAINER = 'container'

/** How long an answer may take that needs no waiting. */
const ANSWER_MS = 60_000

/** Opens the client; nothing is asked yet. */
export function openEngine(socketPath: string): Docker {
  return new Docker({ socketPath })
}

/** For calls that the engine answers at once, however busy it is. */
export function soon(ms = ANSWER_MS): { abortSignal: AbortSignal } {
  return { abortSignal: AbortSignal.timeout(ms) }
}

/** The engine's own words. */
export function engineMessage(error: unknown): string {
  const json = isRecord(error) ? error['json'] : undefined
  if (isRecord(json) && typeof json['message'] === 'string') return json['message']
  return error instanceof Error ? error.message : String(error)
}

/** As the engine's own client says it, and people search for it. */
export function fromDaemon(error: unknown): string {
  return `Error response from daemon: ${engineMessage(error).trim()}`
}

/** True when what was asked about is not there. */
export function isNotFound(error: unknown): boolean {
  return statusOf(error) === 404
}

/** True when the engine has answered, with whatever error. */
export function hasAnswered(error: unknown): boolean {
  return statusOf(error) !== undefined
}

/** True for the answer to what is being done already, or is done. */
export function isConflict(error: unknown): boolean {
  const status = statusOf(error)
  return status === 304 || status === 409
}

/** Removes a container, running or not; nothing happens when it is not there. */
export async function removeContainer(docker: Docker, id: string): Promise<void> {
  try {
    await docker.getContainer(id).remove({ force: true, v: true, ...soon() })
  } catch (error) {
    if (!isNotFound(error) && !isConflict(error)) throw error
  }
}

function statusOf(error: unknown): number | undefined {
  const status = isRecord(error) ? error['statusCode'] : undefined
  return typeof status === 'number' ? status : undefined
}

/** One round trip; an engine that hangs is given up after so many milliseconds. */
export function pingEngine(socketPath: string, withinMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(withinMs)
    const asked = request({ socketPath, path: '/_ping', agent: false, signal }, (response) => {
      response.resume()
      if (response.statusCode === 200) resolve()
      else reject(new Error(`the container engine answers ${response.statusCode}`))
    })
    asked.on('error', reject)
    asked.end()
  })
}
