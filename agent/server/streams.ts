// The streams of one exec or attach, whichever protocol carries them: WebSocket channels
// (channel-streams.ts) or SPDY (spdy-streams.ts).

import type { Readable, Writable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import { isRecord } from '../json.ts'
import type { TerminalSize } from '../runtime/runtime.ts'

export interface ClientStreams {
  /** Those that the client wants; a writer that waits for it waits for the client. */
  stdin: Readable | undefined
  stdout: Writable | undefined
  stderr: Writable | undefined
  /** Tells how it ended (a Status), after all output, and hangs up. */
  finish(status: object): void
  /** Calls when the client's window has another size, and at once with a size that came before. */
  onResize(listener: (size: TerminalSize) => void): void
  /** Calls once when the client has gone or finish() is through. */
  onClose(listener: () => void): void
}

/** What the client asks for in its query. */
export interface Wanted {
  stdin: boolean
  stdout: boolean
  stderr: boolean
  tty: boolean
}

/** kubectl's names, and kubelet's. */
export function wantedBy(query: URLSearchParams): Wanted {
  const isOn = (...names: string[]): boolean =>
    names.some((name) => ['true', '1'].includes(query.get(name) ?? ''))
  return {
    stdin: isOn('stdin', 'input'),
    stdout: isOn('stdout', 'output'),
    stderr: isOn('stderr', 'error'),
    tty: isOn('tty'),
  }
}

/** A resize message, `{"Width":80,"Height":24}`; undefined: not one. */
export function parseSize(text: string): TerminalSize | undefined {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return undefined
  }
  const [columns, rows] = isRecord(json) ? [json['Width'], json['Height']] : []
  const isSize = (value: unknown): value is number =>
    typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65_536
  return isSize(columns) && isSize(rows) ? { columns, rows } : undefined
}

/** Keeps the last size for who listens later. */
export function createResizes(): {
  tell(size: TerminalSize | undefined): void
  listen(listener: (size: TerminalSize) => void): void
} {
  let last: TerminalSize | undefined
  let listener: ((size: TerminalSize) => void) | undefined
  return {
    tell(size) {
      if (!size) return
      last = size
      listener?.(size)
    },
    listen(given) {
      listener = given
      if (last) given(last)
    },
  }
}

/** Sends all of it; resolves when the client's side has taken it, or has gone. */
export async function deliver(
  from: NodeJS.ReadableStream,
  to: Writable | undefined,
): Promise<void> {
  if (!to) {
    from.resume()
    await finished(from, { writable: false }).catch(() => undefined)
    return
  }
  await pipeline(from, to).catch(() => undefined)
}

export const SUCCESS = { metadata: {}, status: 'Success' }

export function failure(message: string): object {
  return { metadata: {}, status: 'Failure', reason: 'InternalError', message }
}

/** kubectl exits with this code, too. */
export function exitStatus(code: number): object {
  if (code === 0) return SUCCESS
  return {
    metadata: {},
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: `command terminated with non-zero exit code: exit status ${code}`,
    details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
  }
}
