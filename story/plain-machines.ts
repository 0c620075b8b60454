// The VMs of acts 1 and 2: process groups on loopback. Nobody looks after their containers: what has
// ended stays ended until somebody logs in.

import { fork, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import type { ContainerState, Order, PlainContainer, Reply } from './plain-vm-wire.ts'

/** Somebody who has logged in to a VM. */
export interface PlainVm {
  name: string
  /** As `docker run --name … -d`, in place of a container of that name. */
  run(container: PlainContainer): Promise<void>
  /** As `docker start`. */
  start(name: string): Promise<void>
  /** As `docker ps --all`. */
  list(): Promise<ContainerState[]>
  /** Fault: the container is killed, as by the kernel when memory runs out. */
  killContainer(name: string): Promise<void>
  /** Fault, and the end of a story: the power is cut. Resolves when nothing of it runs. */
  cutPower(): Promise<void>
}

const PROGRAM = join(import.meta.dirname, 'plain-vm.ts')
const ANSWER_MS = 30_000

type Wish = Order extends infer One ? (One extends Order ? Omit<One, 'id'> : never) : never

/** What its containers print goes to `logFile`. */
export async function bootPlainVm(name: string, logFile: string): Promise<PlainVm> {
  const log = openSync(logFile, 'a')
  const child = fork(PROGRAM, [], { detached: true, stdio: ['ignore', log, log, 'ipc'] })
  closeSync(log)
  const exited = new Promise<void>((done) => child.once('exit', () => done()))
  const tell = teller(name, child)
  await tell({ does: 'list' })
  return {
    name,
    run: async (container) => void (await tell({ does: 'run', container })),
    start: async (container) => void (await tell({ does: 'start', name: container })),
    killContainer: async (container) => void (await tell({ does: 'kill', name: container })),
    list: () => tell({ does: 'list' }),
    async cutPower() {
      if (child.exitCode !== null || child.signalCode !== null) return
      if (child.pid) process.kill(-child.pid, 'SIGKILL')
      await exited
    },
  }
}

function teller(name: string, child: ChildProcess): (wish: Wish) => Promise<ContainerState[]> {
  let last = 0
  const waiting = new Map<number, (reply: Reply) => void>()
  child.on('message', (reply: Reply) => waiting.get(reply.id)?.(reply))
  child.on('exit', () => {
    for (const [id, end] of waiting) end({ id, error: 'the VM is off' })
  })
  return (wish) =>
    new Promise((done, fail) => {
      const id = ++last
      const end = (reply: Reply): void => {
        clearTimeout(timer)
        waiting.delete(id)
        if ('error' in reply) fail(new Error(`${name}: ${reply.error}`))
        else done(reply.containers)
      }
      const timer = setTimeout(() => end({ id, error: 'no answer' }), ANSWER_MS)
      waiting.set(id, end)
      child.send({ ...wish, id }, (error) => error && end({ id, error: error.message }))
    })
}
