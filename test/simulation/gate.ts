// Where every call of a simulated process to the outside world waits until the simulation lets it
// through: that is how two processes take turns in an order that only the seed decides, and how a
// process dies between any two steps.

import { unavailable } from '#shared/deadline.ts'

/** What happens to a call that is let through. */
export type Fate =
  | 'done'
  /** It never happens; the process is told so. */
  | 'refused'
  /** It happens, but the answer is lost. */
  | 'unanswered'
  /** The process dies before it, or right after it. */
  | 'crash before'
  | 'crash after'

export interface Waiting {
  process: SimulatedProcess
  what: string
  settle(fate: Fate): Promise<void>
}

/** A process that is gone can do nothing more. */
class CrashError extends Error {}

export class SimulatedProcess {
  readonly name: string
  isDead = false

  constructor(name: string) {
    this.name = name
  }
}

export class Gate {
  #waiting: Waiting[] = []

  /** The calls that wait, in the order in which they were made. */
  get waiting(): readonly Waiting[] {
    return this.#waiting
  }

  /** Makes the call when the simulation says so, and as it says. */
  pass<T>(process: SimulatedProcess, what: string, call: () => Promise<T>): Promise<T> {
    if (process.isDead) return Promise.reject(new CrashError(`${process.name} is dead`))
    return new Promise<T>((resolve, reject) => {
      const waiting: Waiting = {
        process,
        what,
        settle: async (fate) => {
          this.#waiting = this.#waiting.filter((each) => each !== waiting)
          try {
            resolve(await this.#carryOut(process, what, call, fate))
          } catch (error) {
            reject(error instanceof Error ? error : new Error(String(error)))
          }
        },
      }
      this.#waiting.push(waiting)
    })
  }

  /** Ends a process: whatever it waits for never comes. */
  kill(process: SimulatedProcess): void {
    process.isDead = true
    for (const waiting of this.#waiting.filter((each) => each.process === process)) {
      void waiting.settle('crash before')
    }
  }

  async #carryOut<T>(
    process: SimulatedProcess,
    what: string,
    call: () => Promise<T>,
    fate: Fate,
  ): Promise<T> {
    if (fate === 'crash before') {
      this.#die(process)
      throw new CrashError(`${process.name} died before ${what}`)
    }
    if (fate === 'refused') throw unavailable(`${what} failed`)
    const answer = await call()
    if (fate === 'crash after') {
      this.#die(process)
      throw new CrashError(`${process.name} died after ${what}`)
    }
    if (fate === 'unanswered') throw unavailable(`${what} was not answered`)
    return answer
  }

  #die(process: SimulatedProcess): void {
    if (process.isDead) return
    this.kill(process)
  }
}

/** The same object, each of whose async methods waits at the gate; `free` ones pass. */
export function gated<T extends object>(
  gate: Gate,
  process: SimulatedProcess,
  name: string,
  target: T,
  methods: readonly (keyof T & string)[],
): T {
  return new Proxy(target, {
    get(object, property) {
      const value: unknown = Reflect.get(object, property, object)
      if (typeof value !== 'function') return value
      const call = (...args: unknown[]): unknown => Reflect.apply(value, object, args)
      if (!methods.some((method) => method === property)) return call
      return (...args: unknown[]) =>
        gate.pass(process, `${name}.${String(property)}`, async () => call(...args))
    },
  })
}
