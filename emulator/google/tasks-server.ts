// Plays Cloud Tasks: its REST API for one machine's queues (they need not be created), tasks that are
// dispatched at their time, again with growing pauses until the target accepts them. A name stays
// taken for an hour after its task has run, as Google keeps it.

import { createServer } from 'node:http'
import { readBody } from './read-body.ts'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'

export interface TasksServer {
  /** `http://127.0.0.1:PORT`, in place of https://cloudtasks.googleapis.com. */
  url: string
  /** Names of the tasks that wait. */
  pending(): string[]
  stop(): Promise<void>
}

export interface TasksServerOptions {
  clock: Clock
  log: Log
  port?: number
}

interface HttpRequest {
  url: string
  httpMethod: string
  headers: Record<string, string>
  body: string | undefined
}

interface Task {
  name: string
  scheduleMs: number
  createMs: number
  request: HttpRequest
  dispatches: number
  cancel: AbortController
}

const TASKS_PATH =
  /^\/v2\/(projects\/[^/]+\/locations\/[^/]+\/queues\/[^/]+)\/tasks(?:\/([^/?]+))?$/
const ID = /^[A-Za-z0-9_-]{1,500}$/
const NAME_KEPT_MS = 3_600_000
const AHEAD_MAX_MS = 30 * 86_400_000
const RETRY_MS = 100
const RETRY_MAX_MS = 10_000
const DISPATCH_DEADLINE_MS = 600_000
const BODY_MAX = 1_048_576

/** A refusal in Google's form. */
class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly code: number
  readonly status: string

  constructor(code: number, status: string, message: string) {
    super(message)
    this.code = code
    this.status = status
  }
}

/** Starts it on loopback. */
export async function startTasksServer(options: TasksServerOptions): Promise<TasksServer> {
  const queue = createTaskQueue(options)
  const server = createServer((request, response) => void answer(queue, request, response))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    pending: () => [...queue.tasks.keys()],
    async stop() {
      queue.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function portOf(server: Server): number {
  const address = server.address()
  return address && typeof address === 'object' ? address.port : 0
}

interface TaskQueue {
  tasks: Map<string, Task>
  add(parent: string, wanted: unknown): Task
  remove(name: string): void
  close(): void
}

function createTaskQueue({ clock, log }: TasksServerOptions): TaskQueue {
  const tasks = new Map<string, Task>()
  /** When each name was last used. */
  const usedNames = new Map<string, number>()
  let nextId = 1

  async function run(task: Task): Promise<void> {
    const { signal } = task.cancel
    await clock.sleep(task.scheduleMs - clock.now(), signal)
    while (!signal.aborted && !(await dispatch(task, log))) {
      const pause = RETRY_MS * 2 ** Math.min(task.dispatches - 1, 20)
      await clock.sleep(Math.min(pause, RETRY_MAX_MS), signal)
    }
    if (signal.aborted) return
    tasks.delete(task.name)
    usedNames.set(task.name, clock.now())
  }

  return {
    tasks,
    add(parent, wanted) {
      const task = readTask(parent, wanted, clock.now(), `t${nextId++}`)
      const usedMs = usedNames.get(task.name)
      if (tasks.has(task.name) || (usedMs !== undefined && usedMs + NAME_KEPT_MS > clock.now())) {
        throw new ApiError(
          409,
          'ALREADY_EXISTS',
          `The task cannot be created because a task with this name existed too recently: ${task.name}`,
        )
      }
      tasks.set(task.name, task)
      void run(task)
      return task
    },
    remove(name) {
      const task = tasks.get(name)
      if (!task) throw new ApiError(404, 'NOT_FOUND', 'The task no longer exists.')
      task.cancel.abort()
      tasks.delete(name)
      usedNames.set(name, clock.now())
    },
    close() {
      for (const task of tasks.values()) task.cancel.abort()
      tasks.clear()
    },
  }
}

/** Calls the target once. True: it accepted. */
async function dispatch(task: Task, log: Log): Promise<boolean> {
  const count = task.dispatches++
  const { url, httpMethod, headers, body } = task.request
  const [, queue = '', id = ''] = /queues\/([^/]+)\/tasks\/(.+)$/.exec(task.name) ?? []
  const own = {
    'user-agent': 'Google-Cloud-Tasks',
    'x-cloudtasks-queuename': queue,
    'x-cloudtasks-taskname': id,
    'x-cloudtasks-taskretrycount': String(count),
    'x-cloudtasks-taskexecutioncount': String(count),
    'x-cloudtasks-tasketa': String(task.scheduleMs / 1000),
  }
  try {
    const response = await fetch(url, {
      method: httpMethod,
      headers: { ...headers, ...own },
      ...(body === undefined ? {} : { body: Buffer.from(body, 'base64') }),
      redirect: 'manual',
      signal: AbortSignal.any([task.cancel.signal, AbortSignal.timeout(DISPATCH_DEADLINE_MS)]),
    })
    await response.arrayBuffer()
    return response.status >= 200 && response.status < 300
  } catch (error) {
    if (!task.cancel.signal.aborted) log.warn('task failed', { task: task.name, error })
    return false
  }
}

async function answer(
  queue: TaskQueue,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const body = await handle(queue, request)
    send(response, 200, body)
  } catch (error) {
    const { code, status, message } =
      error instanceof ApiError ? error : new ApiError(500, 'INTERNAL', String(error))
    send(response, code, { error: { code, message, status } })
  }
}

async function handle(queue: TaskQueue, request: IncomingMessage): Promise<object> {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname
  const [, parent, id] = TASKS_PATH.exec(path) ?? []
  if (!parent) throw new ApiError(404, 'NOT_FOUND', `no such path: ${path}`)
  const name = `${parent}/tasks/${id}`
  if (request.method === 'POST' && !id) {
    const body = fields(parseJson(await readBody(request, BODY_MAX)))
    return toWire(queue.add(parent, body['task']))
  }
  if (request.method === 'GET' && !id) {
    const own = [...queue.tasks.values()].filter((task) => task.name.startsWith(`${parent}/`))
    return { tasks: own.map(toWire) }
  }
  if (request.method === 'GET') {
    const task = queue.tasks.get(name)
    if (!task) throw new ApiError(404, 'NOT_FOUND', 'The task no longer exists.')
    return toWire(task)
  }
  if (request.method === 'DELETE' && id) {
    queue.remove(name)
    return {}
  }
  throw new ApiError(405, 'UNIMPLEMENTED', `${request.method} is not served here`)
}

function readTask(parent: string, wanted: unknown, nowMs: number, ownId: string): Task {
  const task = fields(wanted)
  const http = fields(task['httpRequest'])
  const url = textOf(http['url']) ?? ''
  if (!/^https?:\/\//.test(url)) {
    throw invalid('HttpRequest.url must start with "http://" or "https://"')
  }
  const name = textOf(task['name']) ?? `${parent}/tasks/${ownId}`
  const id = name.startsWith(`${parent}/tasks/`) ? name.slice(`${parent}/tasks/`.length) : ''
  if (!ID.test(id)) throw invalid(`Task name "${name}" is not valid`)
  const scheduleTime = textOf(task['scheduleTime'])
  const scheduleMs = scheduleTime === undefined ? nowMs : Date.parse(scheduleTime)
  if (Number.isNaN(scheduleMs)) throw invalid('The scheduleTime is not a time')
  if (scheduleMs > nowMs + AHEAD_MAX_MS) {
    throw invalid('The Task.scheduleTime is too far in the future')
  }
  return {
    name,
    scheduleMs,
    createMs: nowMs,
    request: {
      url,
      httpMethod: textOf(http['httpMethod']) ?? 'POST',
      headers: Object.fromEntries(
        Object.entries(fields(http['headers'])).map(([key, value]) => [key, String(value)]),
      ),
      body: textOf(http['body']),
    },
    dispatches: 0,
    cancel: new AbortController(),
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function invalid(message: string): ApiError {
  return new ApiError(400, 'INVALID_ARGUMENT', message)
}

function toWire(task: Task): object {
  const { url, httpMethod, headers } = task.request
  return {
    name: task.name,
    httpRequest: { url, httpMethod, headers },
    scheduleTime: new Date(task.scheduleMs).toISOString(),
    createTime: new Date(task.createMs).toISOString(),
    dispatchDeadline: `${DISPATCH_DEADLINE_MS / 1000}s`,
    ...(task.dispatches > 0 ? { dispatchCount: task.dispatches } : {}),
    view: 'BASIC',
  }
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null
    ? Object.fromEntries(Object.entries(value))
    : {}
}

function parseJson(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString('utf8'))
  } catch {
    throw invalid('Invalid JSON payload received.')
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' })
  response.end(JSON.stringify(body))
}
