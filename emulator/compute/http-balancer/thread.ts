// An HTTP load balancer that runs in a thread, seen from the emulator. A thread that dies is made anew.

import { Worker } from 'node:worker_threads'
import type { Log } from '#shared/ports/log.ts'
import type { HttpBalancer } from './balancer.ts'
import type { BalancerConfig, FrontendAt, HealthReport } from './config.ts'

export interface ToThread {
  id: number
  config: BalancerConfig
}

export type FromThread =
  | { health: HealthReport }
  | { done: number; listeners: FrontendAt[]; health: HealthReport }
  | { done: number; error: string }

/** Starts with the first configuration that has something to listen for. */
export function createBalancerThread(log: Log): HttpBalancer {
  let worker: Worker | undefined
  let config: BalancerConfig = { frontends: [], services: [] }
  let listeners: FrontendAt[] = []
  let health: HealthReport = {}
  let ids = 0
  const waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void }>()

  function start(): Worker {
    const thread = new Worker(new URL('./worker.ts', import.meta.url))
    thread.unref()
    thread.on('message', onMessage)
    thread.on('error', (error) => {
      log.error('the HTTP load balancer broke and is started anew', { error })
      if (worker === thread) worker = start()
      settleAll(new Error('the HTTP load balancer broke'))
      void sendAgain()
    })
    return thread
  }

  function onMessage(message: FromThread): void {
    if ('health' in message) health = message.health
    if (!('done' in message)) return
    if ('listeners' in message) listeners = message.listeners
    const waiter = waiting.get(message.done)
    waiting.delete(message.done)
    if ('error' in message) waiter?.reject(new Error(message.error))
    else waiter?.resolve()
  }

  function settleAll(error: Error): void {
    for (const { reject } of waiting.values()) reject(error)
    waiting.clear()
  }

  function send(): Promise<void> {
    const id = ids++
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject })
      // A thread has no origin.
      // oxlint-disable-next-line unicorn/require-post-message-target-origin
      worker?.postMessage({ id, config } satisfies ToThread)
    })
  }

  async function sendAgain(): Promise<void> {
    await send().catch((error: unknown) => {
      log.error('the HTTP load balancer could not be set up again', { error })
    })
  }

  return {
    async apply(next) {
      config = next
      if (!worker && next.frontends.length === 0) return
      worker ??= start()
      await send()
    },
    listeners: () => listeners,
    health: () => health,
    async close() {
      const thread = worker
      worker = undefined
      settleAll(new Error('the HTTP load balancer is closed'))
      await thread?.terminate()
    },
  }
}
