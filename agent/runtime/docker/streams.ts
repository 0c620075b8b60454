// Commands in a container, and people at one: connections to the engine that carry input and output.

import { PassThrough } from 'node:stream'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type Docker from 'dockerode'
import type { Attachment, Exec, TerminalSize } from '../runtime.ts'
import { engineMessage, soon } from './engine.ts'
import { deliverFrames } from './frames.ts'

/** The engine learns of a command's end a moment after its output has ended. */
const END_STEP_MS = 20
const END_STEPS = 100
/** What a shell says of a command that cannot be run. */
const CANNOT_RUN = 126

/** Runs a command; what goes wrong is said on its error output. */
export function execIn(
  container: Docker.Container,
  argv: readonly string[],
  hasTty: boolean,
): Exec {
  const stdin = new PassThrough()
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  stdin.on('error', () => undefined)
  const size = createSize()
  const state: { pid?: number; isKilled: boolean } = { isKilled: false }
  const run = async (): Promise<number> => {
    const exec = await container.exec({
      Cmd: [...argv],
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
      Tty: hasTty,
      ...soon(),
    })
    const connection = await exec.start({ hijack: true, stdin: true, Tty: hasTty })
    connection.on('error', () => undefined)
    if (hasTty) size.apply(({ columns: w, rows: h }) => exec.resize({ w, h }))
    const { Pid } = await exec.inspect(soon())
    if (Pid > 1) state.pid = Pid
    if (state.isKilled) killProcess(Pid)
    void pipeline(stdin, connection).catch(() => undefined)
    await deliverFrames(connection, { stdout, stderr }, hasTty)
    return exitCodeOf(exec)
  }
  const ended = run().catch((error: unknown) => {
    stdout.end()
    stderr.end(`${engineMessage(error)}\n`)
    return CANNOT_RUN
  })
  return {
    stdin,
    stdout,
    stderr,
    ended,
    resize: (to) => size.set(to),
    kill() {
      state.isKilled = true
      if (state.pid) killProcess(state.pid)
    },
  }
}

/** What it prints from now on, or for the one client it waits for from the start. */
export function attachTo(
  container: Docker.Container,
  { hasTty, hasStdin, fromStart }: { hasTty: boolean; hasStdin: boolean; fromStart: boolean },
): Attachment {
  const stdin = new PassThrough()
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  for (const stream of [stdin, stdout, stderr]) stream.on('error', () => undefined)
  const size = createSize()
  let connection: Duplex | undefined
  let hasLeft = false
  const join = async (): Promise<void> => {
    connection = (await container.attach({
      stream: true,
      stdin: hasStdin,
      stdout: true,
      stderr: true,
      logs: fromStart,
      hijack: true,
    })) as Duplex
    connection.on('error', () => undefined)
    if (hasLeft) connection.destroy()
    if (hasTty) size.apply(({ columns: w, rows: h }) => container.resize({ w, h }))
    if (hasStdin) void pipeline(stdin, connection).catch(() => undefined)
    await deliverFrames(connection, { stdout, stderr }, hasTty)
  }
  join().catch(() => {
    stdout.end()
    stderr.end()
  })
  return {
    stdin: hasStdin ? stdin : undefined,
    stdout,
    stderr,
    wasCutOff: () => false,
    leave() {
      hasLeft = true
      connection?.destroy()
      stdout.destroy()
      stderr.destroy()
    },
    resize: (to) => size.set(to),
  }
}

/** Keeps the wanted size until there is something to give it to. */
function createSize(): {
  set(size: TerminalSize): void
  apply(how: (size: TerminalSize) => Promise<unknown>): void
} {
  let wanted: TerminalSize | undefined
  let how: ((size: TerminalSize) => Promise<unknown>) | undefined
  const tell = (): void => {
    // It may have ended meanwhile.
    if (wanted && how) void how(wanted).catch(() => undefined)
  }
  return {
    set(size) {
      wanted = size
      tell()
    },
    apply(given) {
      how = given
      tell()
    },
  }
}

async function exitCodeOf(exec: Docker.Exec): Promise<number> {
  for (let step = 0; step < END_STEPS; step++) {
    const { Running, ExitCode } = await exec.inspect(soon())
    if (!Running && ExitCode !== null) return ExitCode
    await sleep(END_STEP_MS)
  }
  return 255
}

/** The engine has no way to end a command; the agent sees its processes. */
function killProcess(pid: number): void {
  if (pid <= 1) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended already.
  }
}
