// What is still to be looked at in a pass: each (controller, key) once, controllers in the order in
// which they were given, keys in the order in which they came.

import type { Key } from '../key.ts'
import type { Reconciler } from './outcome.ts'

/** One thing to do: let this controller look at this key. */
export interface Work {
  reconciler: string
  key: Key
}

/** Names a piece of work. */
export function workId(work: Work): string {
  return `${work.reconciler} ${work.key}`
}

export class WorkQueue {
  readonly #reconcilers: readonly Reconciler[]
  readonly #queues: Set<Key>[]

  constructor(reconcilers: readonly Reconciler[]) {
    this.#reconcilers = reconcilers
    this.#queues = reconcilers.map(() => new Set())
  }

  /** Adds a key for the controller at this place in the list. */
  add(index: number, key: Key): void {
    this.#queues[index]?.add(key)
  }

  /** Adds work by the controller's name; a name that is not known (any more) is dropped. */
  addWork(work: Work): void {
    this.add(
      this.#reconcilers.findIndex((reconciler) => reconciler.name === work.reconciler),
      work.key,
    )
  }

  /** The next piece of work: of the first controller that has any, the oldest. */
  take(): { reconciler: Reconciler; key: Key } | undefined {
    for (const [index, queue] of this.#queues.entries()) {
      const reconciler = this.#reconcilers[index]
      for (const key of queue) {
        queue.delete(key)
        if (reconciler) return { reconciler, key }
      }
    }
    return undefined
  }

  /** All that is left. */
  rest(): Work[] {
    return this.#queues.flatMap((queue, index) => {
      const reconciler = this.#reconcilers[index]?.name ?? ''
      return [...queue].map((key) => ({ reconciler, key }))
    })
  }
}
