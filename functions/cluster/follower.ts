// Keeps one follower of a cluster's log open while anybody listens, whatever happens to the link:
// it is opened again after failures, and a slow poll makes good what a lost poke would have said.

import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Store, Version } from '#shared/ports/store.ts'

const SAFETY_POLL_MS = 30_000
const RETRY_MS = 1_000
// Listeners come and go (each kubectl get -w is one), the follower should not: opening and closing
// it while others commit is what the Firestore emulator takes badly, and each opening costs a read.
const LINGER_MS = 60_000

export interface FollowerOptions {
  store: Store
  clock: Clock
  log: Log
  cluster: string
  /** Reads the tail, unless it is known up to `version`. May reject: it is asked again. */
  catchUp(version?: Version): Promise<unknown>
}

/** One per live view. `retain` while somebody listens. */
export class Follower {
  readonly #options: FollowerOptions
  #users = 0
  #isClosed = false
  #running: { stop: AbortController; done: Promise<void> } | undefined
  #lingering: AbortController | undefined

  constructor(options: FollowerOptions) {
    this.#options = options
  }

  /** Follows until the answered function is called (and a little longer). */
  retain(): () => void {
    this.#users++
    this.#lingering?.abort()
    this.#lingering = undefined
    if (!this.#running && !this.#isClosed) {
      const stop = new AbortController()
      this.#running = { stop, done: this.#run(stop.signal) }
    }
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#users--
      if (this.#users === 0) void this.#endLater()
    }
  }

  /** Ends following at once and resolves when it has ended. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#lingering?.abort()
    await this.#end()
  }

  async #endLater(): Promise<void> {
    const lingering = new AbortController()
    this.#lingering = lingering
    await this.#options.clock.sleep(LINGER_MS, lingering.signal)
    if (!lingering.signal.aborted && this.#users === 0) await this.#end()
  }

  async #end(): Promise<void> {
    const running = this.#running
    this.#running = undefined
    running?.stop.abort()
    await running?.done
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { store, clock, cluster } = this.#options
    let unfollow: (() => Promise<void>) | undefined
    while (!signal.aborted) {
      let waitMs = SAFETY_POLL_MS
      try {
        unfollow ??= await store.follow(cluster, (version) => void this.#poke(signal, version))
        await this.#options.catchUp()
      } catch (error) {
        this.#options.log.warn('following the log failed', { cluster, error })
        waitMs = RETRY_MS
      }
      await clock.sleep(waitMs, signal)
    }
    try {
      await unfollow?.()
    } catch (error) {
      this.#options.log.warn('ending a follower failed', { cluster, error })
    }
  }

  /** A failure here is made good soon: the loop above would only look again much later. */
  async #poke(signal: AbortSignal, version: Version | undefined): Promise<void> {
    const { clock, log, cluster } = this.#options
    while (!signal.aborted) {
      try {
        await this.#options.catchUp(version)
        return
      } catch (error) {
        log.warn('catching up after a poke failed', { cluster, error })
        await clock.sleep(RETRY_MS, signal)
      }
    }
  }
}
