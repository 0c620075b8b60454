// How every call to Compute Engine is made: with a deadline, tried again under the same request id
// when it may not have arrived, its failure as a StatusError, and its operation waited for.

import type { protos } from '@google-cloud/compute'
import { randomUUID } from 'node:crypto'
import type { Clock } from '#shared/ports/clock.ts'
import { isReason, StatusError } from '#shared/status.ts'
import type { ComputeClients } from './compute-clients.ts'
import { operationError, toStatusError } from './compute-errors.ts'

type Operation = protos.google.cloud.compute.v1.IOperation

interface CallOptions {
  timeout: number
}

export interface ComputeCalls {
  /** A call that reads. */
  read<T>(what: string, call: (options: CallOptions) => Promise<T>): Promise<T>
  /** As read, but undefined when the thing is not there. */
  find<T>(what: string, call: (options: CallOptions) => Promise<T>): Promise<T | undefined>
  /**
   * A call that changes something: waits until its operation is done. `requestId` makes Google
   * ignore the repetition of a call that had arrived.
   */
  change(
    what: string,
    call: (
      requestId: string,
      options: CallOptions,
    ) => Promise<[{ latestResponse: unknown }, ...unknown[]]>,
  ): Promise<void>
}

const CALL_TIMEOUT_MS = 20_000
const ATTEMPTS_MAX = 3
const RETRY_MS = 500
/** The longest that one `wait` lasts at Google. */
const WAIT_MAX_MS = 120_000

export function createComputeCalls(options: {
  project: string
  clients: ComputeClients
  clock: Clock
  /** How long an operation may take before the call gives up on it (it goes on by itself). */
  operationTimeoutMs: number
}): ComputeCalls {
  const { clock } = options

  async function attempt<T>(what: string, call: () => Promise<T>): Promise<T> {
    for (let count = 1; ; count++) {
      try {
        return await call()
      } catch (error) {
        const failure = toStatusError(error, what)
        if (count >= ATTEMPTS_MAX || !isTransient(failure)) throw failure
        await clock.sleep(RETRY_MS * 2 ** (count - 1))
      }
    }
  }

  const read: ComputeCalls['read'] = (what, call) =>
    attempt(what, () => call({ timeout: CALL_TIMEOUT_MS }))

  return {
    read,
    async find(what, call) {
      try {
        return await read(what, call)
      } catch (error) {
        if (isReason(error, 'NotFound')) return undefined
        throw error
      }
    },
    async change(what, call) {
      const requestId = randomUUID()
      const [{ latestResponse }] = await attempt(what, () =>
        call(requestId, { timeout: CALL_TIMEOUT_MS }),
      )
      await waitFor(operationOf(latestResponse), what)
    },
  }

  async function waitFor(first: Operation, what: string): Promise<void> {
    const deadline = clock.now() + options.operationTimeoutMs
    let operation = first
    while (operation.status !== 'DONE') {
      const left = deadline - clock.now()
      if (left <= 0) {
        throw new StatusError(
          'Timeout',
          `${what}: the operation ${operation.name} is not done yet`,
          {
            retryAfterSeconds: 10,
          },
        )
      }
      const current = operation
      operation = await attempt(what, () => waitOnce(current, Math.min(left, WAIT_MAX_MS)))
    }
    const [error] = operation.error?.errors ?? []
    if (error) throw operationError(error.code ?? '', error.message ?? '', what)
  }

  async function waitOnce(operation: Operation, ms: number): Promise<Operation> {
    const { clients, project } = options
    const about = { project, operation: operation.name ?? '' }
    const limit = { timeout: ms + 5000 }
    if (operation.zone) {
      const zone = lastPart(operation.zone)
      const [next] = await (await clients.zoneOperations()).wait({ ...about, zone }, limit)
      return next
    }
    if (operation.region) {
      const region = lastPart(operation.region)
      const [next] = await (await clients.regionOperations()).wait({ ...about, region }, limit)
      return next
    }
    const [next] = await (await clients.globalOperations()).wait(about, limit)
    return next
  }
}

/** The last part of a link: a resource's name. */
export function lastPart(link: string | null | undefined): string {
  return link?.slice(link.lastIndexOf('/') + 1) ?? ''
}

function isTransient(error: StatusError): boolean {
  return error.reason === 'ServiceUnavailable' || error.reason === 'TooManyRequests'
}

/** The client types an operation as that of another API; it is Compute's. */
function operationOf(value: unknown): Operation {
  if (typeof value === 'object' && value !== null && 'name' in value && 'status' in value) {
    return value as Operation
  }
  throw new Error('the Compute client answered without an operation')
}
