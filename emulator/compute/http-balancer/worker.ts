// The HTTP load balancer in a thread of its own: requests go on whatever the rest of the emulator does.
// Its messages are those of thread.ts.

import { parentPort } from 'node:worker_threads'
import { createHttpBalancer } from './balancer.ts'
import type { FromThread, ToThread } from './thread.ts'

// A thread has no origin.
// oxlint-disable-next-line unicorn/require-post-message-target-origin
const say = (message: FromThread): void => parentPort?.postMessage(message)

const balancer = createHttpBalancer(() => say({ health: balancer.health() }))

parentPort?.on('message', ({ id, config }: ToThread) => {
  balancer.apply(config).then(
    () => say({ done: id, listeners: balancer.listeners(), health: balancer.health() }),
    (error: unknown) => say({ done: id, error: String(error) }),
  )
})
