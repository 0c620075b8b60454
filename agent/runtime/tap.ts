// Who is attached to a running container: each gets what it prints from then on. As with containerd,
// a client that is behind holds the container's output up, but not for ever.

import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import type { Readable } from 'node:stream'

/** Spread into an Attachment: no methods of a class. */
export interface Attached {
  stdout: Readable
  stderr: Readable
  wasCutOff: () => boolean
  leave: () => void
}

export interface Tap {
  /** What the container prints. A promise: some client is behind, printing should wait for it. */
  append(stream: 'stdout' | 'stderr', chunk: Buffer): Promise<unknown> | undefined
  attach(): Attached
  /** The container has ended. */
  end(): void
}

const STALLED_MS = 10_000
/** What is kept for the client of a `stdinOnce` container, which is there for it alone. */
const EARLY_BYTES = 64 * 1024

/**
 * `keepsEarly`: the first client also gets what was printed before it came. `stalledMs`: how long the
 * container waits for a client that does not read.
 */
export function createTap({
  keepsEarly,
  stalledMs = STALLED_MS,
}: {
  keepsEarly: boolean
  stalledMs?: number
}): Tap {
  const clients = new Set<Client>()
  let early: { stream: 'stdout' | 'stderr'; chunk: Buffer }[] | undefined = keepsEarly
    ? []
    : undefined
  let earlyBytes = 0
  return {
    append(stream, chunk) {
      if (early && earlyBytes < EARLY_BYTES) {
        early.push({ stream, chunk })
        earlyBytes += chunk.length
      }
      const waits = [...clients].flatMap((client) => client.write(stream, chunk) ?? [])
      return waits.length > 0 ? Promise.all(waits) : undefined
    },
    attach() {
      const client = new Client(stalledMs, () => clients.delete(client))
      clients.add(client)
      for (const { stream, chunk } of early ?? []) void client.write(stream, chunk)
      early = undefined
      const { stdout, stderr } = client
      return {
        stdout,
        stderr,
        wasCutOff: () => client.wasCutOff(),
        leave: () => client.leave(),
      }
    },
    end() {
      for (const client of clients) client.end()
    },
  }
}

class Client {
  readonly stdout = new PassThrough()
  readonly stderr = new PassThrough()
  readonly #stalledMs: number
  readonly #onLeave: () => void
  #isCutOff = false

  constructor(stalledMs: number, onLeave: () => void) {
    this.#stalledMs = stalledMs
    this.#onLeave = onLeave
  }

  /** A promise when it is behind. */
  write(stream: 'stdout' | 'stderr', chunk: Buffer): Promise<void> | undefined {
    const to = this[stream]
    return to.writable && !to.write(chunk) ? this.#drained(to) : undefined
  }

  wasCutOff(): boolean {
    return this.#isCutOff
  }

  end(): void {
    this.stdout.end()
    this.stderr.end()
  }

  leave(): void {
    this.#onLeave()
    this.stdout.destroy()
    this.stderr.destroy()
  }

  async #drained(to: PassThrough): Promise<void> {
    const settled = new AbortController()
    const { signal } = settled
    const timer = setTimeout(() => {
      this.#isCutOff = true
      this.leave()
    }, this.#stalledMs)
    await Promise.race([once(to, 'drain', { signal }), once(to, 'close', { signal })]).catch(
      () => undefined,
    )
    clearTimeout(timer)
    settled.abort()
  }
}
