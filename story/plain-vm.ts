// The program that is a plain VM: a machine with a container engine and nobody that looks after it. It
// starts what it is told to, by whoever has logged in (the channel to its parent), and remembers what
// has ended. Containers belong to its process group, so that one kill is a power cut.

import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { findImages, pickImage } from '#agent/runtime/images.ts'
import { commandOf } from '#agent/runtime/launch.ts'
import { normaliseImage } from '#agent/runtime/runtime.ts'
import type { ContainerState, Order, PlainContainer, Reply } from './plain-vm-wire.ts'

const EXAMPLES = join(import.meta.dirname, '..', 'examples')
const KILLED = 137

interface Known {
  container: PlainContainer
  child: ChildProcess
  /** Undefined: it runs. */
  exitCode: number | undefined
}

const known = new Map<string, Known>()

// Whoever started the VM has gone: nothing of it stays behind.
process.once('disconnect', () => process.kill(-process.pid, 'SIGKILL'))
process.on('message', (order: Order) => {
  obey(order).then(
    (containers) => reply({ id: order.id, containers }),
    (error: unknown) => reply({ id: order.id, error: String(error) }),
  )
})

function reply(message: Reply): void {
  process.send?.(message)
}

async function obey(order: Order): Promise<ContainerState[]> {
  if (order.does === 'run') await run(order.container)
  if (order.does === 'start') await run(found(order.name).container)
  if (order.does === 'kill') await end(found(order.name))
  return [...known.values()].map(({ container, exitCode }) => ({ name: container.name, exitCode }))
}

/** Also in place of one of that name. */
async function run(container: PlainContainer): Promise<void> {
  const before = known.get(container.name)
  if (before) await end(before)
  const reference = normaliseImage(container.image) ?? ''
  const image = pickImage(await findImages([EXAMPLES]), reference)
  if (!image) throw new Error(`no image ${container.image} in ${EXAMPLES}`)
  const [program = '', ...args] = commandOf([...image.entrypoint, ...image.cmd])
  const child = spawn(program, args, {
    cwd: image.folder,
    env: { PATH: process.env['PATH'] ?? '', ...image.env, ...container.env },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const entry: Known = { container, child, exitCode: undefined }
  known.set(container.name, entry)
  child.once('exit', (code) => (entry.exitCode = code ?? KILLED))
  await new Promise<void>((done, fail) => {
    child.once('spawn', done)
    child.once('error', fail)
  })
}

async function end(entry: Known): Promise<void> {
  if (entry.exitCode !== undefined) return
  const gone = new Promise((done) => entry.child.once('exit', done))
  entry.child.kill('SIGKILL')
  await gone
}

function found(name: string): Known {
  const entry = known.get(name)
  if (!entry) throw new Error(`no container ${name}`)
  return entry
}
