// From a wake-up to what is wanted: one read of the desired state, however many wake-ups came
// meanwhile, and then the network and the pods. What was read last is kept on disk, so that a machine
// which starts while the control plane is away still runs its pods.

import type { DesiredState } from '#shared/api/agent-wire.ts'
import type { Log } from '#shared/ports/log.ts'
import { keepState, loadState } from './kept-state.ts'
import { pause, untilDone } from './retry.ts'

export interface SyncOptions {
  read: () => Promise<DesiredState>
  apply: (desired: DesiredState) => Promise<void>
  /** Something that is wanted could not be had: look again, at growing distances. */
  isWaiting: () => boolean
  log: Log
  signal: AbortSignal
  /** Where the last desired state is kept. */
  file: string
  /** Only what this very machine kept counts. */
  instanceId: string
}

const OFFLINE_MS = 5000
const WAIT_FIRST_MS = 10_000
const WAIT_MAX_MS = 300_000

export class Sync {
  readonly #options: SyncOptions
  #isWanted = false
  #isRunning = false
  #hasApplied = false
  /** One state is applied after the other. */
  #applying: Promise<void> = Promise.resolve()
  #waitMs = WAIT_FIRST_MS
  #waitTimer: NodeJS.Timeout | undefined

  constructor(options: SyncOptions) {
    this.#options = options
  }

  /** Something may have changed. */
  wake(): void {
    this.#isWanted = true
    if (this.#isRunning) return
    this.#isRunning = true
    void this.#run()
  }

  /** The first read; after a few seconds without the API, what the disk remembers. */
  async start(): Promise<void> {
    this.wake()
    await pause(OFFLINE_MS, this.#options.signal)
    if (this.#hasApplied || this.#options.signal.aborted) return
    const { file, instanceId } = this.#options
    const kept = loadState(file, instanceId)
    if (!kept) return
    this.#options.log.warn('the API is away: running what the disk remembers', {
      pods: kept.pods.length,
    })
    await this.#apply(kept)
  }

  stop(): void {
    clearTimeout(this.#waitTimer)
  }

  async #run(): Promise<void> {
    const { read, file, instanceId, log, signal } = this.#options
    while (this.#isWanted && !signal.aborted) {
      this.#isWanted = false
      try {
        const desired = await untilDone('reading the desired state', read, log, signal)
        this.#hasApplied = true
        keepState(file, instanceId, desired)
        await this.#apply(desired)
        this.#lookAgainLater()
      } catch (error) {
        if (!signal.aborted) log.error('the desired state could not be applied', { error })
      }
    }
    this.#isRunning = false
  }

  #apply(desired: DesiredState): Promise<void> {
    const apply = (): Promise<void> => this.#options.apply(desired)
    this.#applying = this.#applying.then(apply, apply)
    return this.#applying
  }

  #lookAgainLater(): void {
    clearTimeout(this.#waitTimer)
    if (!this.#options.isWaiting()) {
      this.#waitMs = WAIT_FIRST_MS
      return
    }
    this.#waitTimer = setTimeout(() => this.wake(), this.#waitMs)
    this.#waitMs = Math.min(this.#waitMs * 2, WAIT_MAX_MS)
  }
}
