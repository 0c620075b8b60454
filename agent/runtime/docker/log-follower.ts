// Follows a container's output as the engine has kept it, from a position on: each line once, also
// after the connection, the engine or the agent was away.

import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type Docker from 'dockerode'
import { resumeTime } from '../../logs/log-position.ts'
import type { ContainerToStart, LogPosition } from '../runtime.ts'
import { hasAnswered, isNotFound } from './engine.ts'
import { messagesOf } from './frames.ts'
import type { LogMessage } from './frames.ts'

const AGAIN_MS = 500
/** The engine ends a followed log with its container; what it does not end is not waited for. */
const END_MS = 2000

export interface LogFollower {
  /** The container has ended: reads what is left. Resolves when all was told. Never rejects. */
  finish(): Promise<void>
  /** Stops reading. */
  stop(): void
}

/** Begins at once. */
export function followLogs(
  container: Docker.Container,
  hasTty: boolean,
  from: LogPosition,
  onOutput: ContainerToStart['onOutput'],
): LogFollower {
  return new Follower(container, hasTty, { ...from }, onOutput)
}

class Follower implements LogFollower {
  readonly #container: Docker.Container
  readonly #hasTty: boolean
  readonly #position: LogPosition
  readonly #onOutput: ContainerToStart['onOutput']
  readonly #following: Promise<void>
  #source: Readable | undefined
  #isOver = false
  /** Nothing is told any more, whatever still comes. */
  #isClosed = false

  constructor(
    container: Docker.Container,
    hasTty: boolean,
    position: LogPosition,
    onOutput: ContainerToStart['onOutput'],
  ) {
    this.#container = container
    this.#hasTty = hasTty
    this.#position = position
    this.#onOutput = onOutput
    this.#following = this.#follow()
  }

  async finish(): Promise<void> {
    this.#isOver = true
    await this.#within(this.#following)
    // Whatever made the following end: this is the rest.
    try {
      await this.#within(this.#read())
    } catch {
      // The container has gone, or the engine: what was told is all there is.
    }
    this.#isClosed = true
  }

  /** An engine that was started anew does not end the log of a container that ended with the one before. */
  async #within(reading: Promise<void>): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(() => {
      this.#source?.destroy()
      resolve()
    }, END_MS)
    reading.catch(() => undefined)
    await Promise.race([reading, late]).finally(() => clearTimeout(timer))
  }

  stop(): void {
    this.#isOver = true
    this.#isClosed = true
    this.#source?.destroy()
  }

  async #follow(): Promise<void> {
    while (!this.#isOver) {
      try {
        await this.#read()
      } catch (error) {
        if (hasAnswered(error) && isNotFound(error)) return
      }
      // The container has ended, and the runtime will say so; or the engine has.
      if (!this.#isOver) await sleep(AGAIN_MS, undefined, { ref: false })
    }
  }

  /** All there is from the position on, until the engine ends it: it does with the container. */
  async #read(): Promise<void> {
    const since = resumeTime(this.#position) / 1000
    const source = await this.#container.logs({
      stdout: true,
      stderr: true,
      timestamps: true,
      follow: true,
      since,
    })
    this.#source = source as Readable
    if (this.#isClosed) {
      this.#source.destroy()
      return
    }
    await this.#tell(messagesOf(this.#source, this.#hasTty))
  }

  async #tell(messages: AsyncIterable<LogMessage>): Promise<void> {
    // Before this time a message was told already; after it none was.
    const known = { ...this.#position }
    for await (const { stream, time, bytes } of messages) {
      const last = known[stream]
      if (last !== undefined && time <= last) continue
      this.#onOutput(stream, bytes, time)
      this.#position[stream] = time
    }
  }
}
