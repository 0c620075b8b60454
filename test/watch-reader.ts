// Reads a watch response as a client does: line by line, as far as the test wants to.

export interface WatchLine<T = Record<string, unknown>> {
  type: string
  object: T & { metadata: { name: string; resourceVersion: string; [field: string]: unknown } }
}

export interface WatchReader {
  /** The next event. Rejects when the stream ends or nothing comes for 5 s. */
  next(): Promise<WatchLine>
  /** The next `count` events. */
  take(count: number): Promise<WatchLine[]>
  /** Everything up to the stream's end. */
  rest(): Promise<WatchLine[]>
  /** Leaves, as a client that hangs up. */
  cancel(): Promise<void>
}

const PATIENCE_MS = 5000

/** Takes over the body. */
export function readWatch(response: Response): WatchReader {
  if (!response.body) throw new Error('the response has no body')
  const reader = response.body.getReader()
  const decoder = new TextDecoder()
  const lines: string[] = []
  let partial = ''

  const fill = async (): Promise<boolean> => {
    const { done, value } = await reader.read()
    if (done) return false
    const parts = (partial + decoder.decode(value, { stream: true })).split('\n')
    partial = parts.pop() ?? ''
    lines.push(...parts)
    return true
  }
  const nextOrEnd = async (): Promise<WatchLine | undefined> => {
    while (lines.length === 0) if (!(await fill())) return undefined
    return JSON.parse(lines.shift() ?? '') as WatchLine
  }
  const next = async (): Promise<WatchLine> => {
    const line = await withPatience(nextOrEnd())
    if (!line) throw new Error('the watch has ended')
    return line
  }
  return {
    next,
    async take(count) {
      const taken: WatchLine[] = []
      while (taken.length < count) taken.push(await next())
      return taken
    },
    async rest() {
      const all: WatchLine[] = []
      for (let line = await nextOrEnd(); line; line = await nextOrEnd()) all.push(line)
      return all
    },
    cancel: () => reader.cancel(),
  }
}

async function withPatience<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the watch is silent')), PATIENCE_MS)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
