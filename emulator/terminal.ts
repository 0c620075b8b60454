// What `npm start` says while it works: a live list of steps on a terminal, one plain line a step
// when piped. Nothing else in the emulator writes to standard output.

export interface Terminal {
  /** Runs one step and shows how it goes; a rejection is shown and passed on. */
  step<T>(title: string, work: (note: (text: string) => void) => Promise<T>): Promise<T>
  /** A line of its own, e.g. what this machine lacks. */
  say(text: string): void
}

interface Output {
  write(text: string): unknown
  isTTY?: boolean
}

interface TerminalOptions {
  output: Output
  /** Milliseconds, for the durations shown. */
  now: () => number
  /** NO_COLOR and TERM=dumb are respected by the caller. */
  useColor: boolean
}

const FRAMES = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const FRAME_MS = 100
const CLEAR_LINE = '\r\u001B[2K'

/** A terminal on `output`; it animates only when that is a TTY. */
export function createTerminal({ output, now, useColor }: TerminalOptions): Terminal {
  const paint = (code: number, text: string): string =>
    useColor ? `\u001B[${code}m${text}\u001B[0m` : text
  const isLive = output.isTTY === true

  async function step<T>(
    title: string,
    work: (note: (text: string) => void) => Promise<T>,
  ): Promise<T> {
    const startedAt = now()
    let detail = ''
    let frame = 0
    const draw = (): void => {
      frame = (frame + 1) % FRAMES.length
      const seconds = `${((now() - startedAt) / 1000).toFixed(0)}s`
      output.write(
        `${CLEAR_LINE}${paint(36, FRAMES[frame] ?? '')} ${title} ${paint(2, `${detail} ${seconds}`)}`,
      )
    }
    const timer = isLive ? setInterval(draw, FRAME_MS) : undefined
    const finish = (mark: string, text: string): void => {
      if (timer) clearInterval(timer)
      const seconds = `${((now() - startedAt) / 1000).toFixed(1)} s`
      output.write(
        `${isLive ? CLEAR_LINE : ''}${mark} ${title}${text ? `: ${text}` : ''} ${paint(2, `(${seconds})`)}\n`,
      )
    }
    try {
      const result = await work((text) => {
        detail = text
      })
      finish(paint(32, '✓'), detail)
      return result
    } catch (error) {
      finish(paint(31, '✗'), error instanceof Error ? error.message : String(error))
      throw error
    }
  }

  return { step, say: (text) => void output.write(`${text}\n`) }
}
