// Timers on Cloud Tasks, over plain REST: each is one task that, at its time, publishes the cluster's
// wake-up through Pub/Sub's REST API as a service account. No function of ours runs for it.
// https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/create

import { createHash } from 'node:crypto'
import { GoogleAuth } from 'google-auth-library'
import { withDeadline } from './deadline.ts'
import { toPubsub } from './pubsub-message.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import type { AuthClient } from 'google-auth-library'
import type { Clock } from '#shared/ports/clock.ts'
import type { Timers, WakeTopic } from '#shared/ports/timers.ts'

export interface CloudTasksTimersOptions {
  projectId: string
  /** The queue's region. */
  location: string
  /** The queue's id. */
  queue: string
  /** E-mail of the account that publishes. */
  serviceAccount: string
  clock: Clock
  /** Default: Google's Application Default Credentials. */
  authClient?: AuthClient
  /** Default: Google's. */
  tasksUrl?: string
  /** Default: Google's. What the tasks call. */
  pubsubUrl?: string
  deadlineMs?: number
}

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform'
/** Cloud Tasks takes 30 days; a wake-up that comes too early asks for its time again. */
const AHEAD_MAX_MS = 29 * 86_400_000
const SECOND = 1000
const HOUR = 3_600_000
const ATTEMPTS = 3
const RETRY_PAUSE_MS = 200

/** Timers on this queue. */
export function createCloudTasksTimers(options: CloudTasksTimersOptions): Timers {
  const { projectId, clock, deadlineMs = 10_000 } = options
  const parent = `projects/${projectId}/locations/${options.location}/queues/${options.queue}`
  const url = `${options.tasksUrl ?? 'https://cloudtasks.googleapis.com'}/v2/${parent}/tasks`
  const pubsubUrl = options.pubsubUrl ?? 'https://pubsub.googleapis.com'
  let client = options.authClient ? Promise.resolve(options.authClient) : undefined

  async function credentials(): Promise<AuthClient> {
    client ??= new GoogleAuth({ scopes: SCOPE }).getClient()
    // A failed look-up is tried again by the next call.
    client.catch(() => (client = undefined))
    return client
  }

  async function create(task: object, signal: AbortSignal): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const answer = await (
        await credentials()
      ).request<unknown>({
        url,
        method: 'POST',
        data: { task },
        retry: false,
        timeout: deadlineMs,
        validateStatus: () => true,
        signal,
      })
      // 409: somebody has asked for this very wake-up already.
      if (answer.status < 300 || answer.status === 409) return
      const isTransient = answer.status === 429 || answer.status >= 500
      if (!isTransient || attempt === ATTEMPTS) {
        throw new Error(`Cloud Tasks answered ${answer.status}: ${textOf(answer.data)}`)
      }
      await clock.sleep(RETRY_PAUSE_MS * attempt, signal)
      signal.throwIfAborted()
    }
  }

  return {
    async wake(cluster, atMs, topic = TOPICS.changes) {
      const nowMs = clock.now()
      // Also what is moved to the nearest possible time is one wake-up, however often asked for.
      const earliestMs = nowMs - (nowMs % SECOND)
      const latestMs = nowMs - (nowMs % HOUR) + AHEAD_MAX_MS
      const whenMs = Math.min(Math.max(atMs, earliestMs), latestMs)
      const cancel = new AbortController()
      const task = {
        name: `${parent}/tasks/${taskId(cluster, whenMs, topic)}`,
        scheduleTime: new Date(whenMs).toISOString(),
        httpRequest: {
          httpMethod: 'POST',
          url: `${pubsubUrl}/v1/projects/${projectId}/topics/${topic}:publish`,
          headers: { 'content-type': 'application/json' },
          body: publishBody(cluster),
          oauthToken: { serviceAccountEmail: options.serviceAccount, scope: SCOPE },
        },
      }
      const made = create(task, cancel.signal)
      await withDeadline(clock, deadlineMs, 'timer', made).finally(() => cancel.abort())
    },
    // What is pending stays with Cloud Tasks: other instances, and the next one, rely on it.
    close: () => Promise.resolve(),
  }
}

/**
 * The same for the same wake-up, so that Cloud Tasks refuses the second. The hash comes first:
 * names that grow in order slow a queue down.
 */
function taskId(cluster: string, atMs: number, topic: WakeTopic): string {
  const hash = createHash('sha256').update(`${topic}\n${cluster}\n${atMs}`).digest('hex')
  return `${hash.slice(0, 32)}-${atMs}`
}

/** The body of a REST publish, in base64 as a task holds it. */
function publishBody(cluster: string): string {
  const message = toPubsub({ attributes: { cluster }, data: '{}', orderingKey: cluster })
  const wire = { ...message, data: message.data.toString('base64') }
  return Buffer.from(JSON.stringify({ messages: [wire] })).toString('base64')
}

function textOf(data: unknown): string {
  const text = typeof data === 'string' ? data : JSON.stringify(data)
  return (text ?? '').slice(0, 300)
}
