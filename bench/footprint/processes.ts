// What processes of this machine take: memory now, and processor time over a while. Linux.

import { readFileSync } from 'node:fs'

export interface Memory {
  /** Bytes: shared pages counted in parts, so that those of several processes can be added. */
  pss: number
  /** Bytes: all that is resident. */
  rss: number
}

/** Ticks of USER_HZ, which is 100 on every Linux that Node.js runs on. */
const TICKS_PER_SECOND = 100

/** Of all of them together. */
export function memoryOf(pids: readonly number[]): Memory {
  const all = pids.map((pid) => {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
    const bytes = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024
    return { pss: bytes('Pss'), rss: bytes('Rss') }
  })
  const sum = (key: keyof Memory): number => all.reduce((total, one) => total + one[key], 0)
  return { pss: sum('pss'), rss: sum('rss') }
}

/** Seconds of processor time that they have had since they began, without their ended children's. */
export function cpuSeconds(pids: readonly number[]): number {
  const ticks = pids.map((pid) => {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // After the name, which may contain anything: utime and stime are the 14th and 15th of all.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return Number(fields[11]) + Number(fields[12])
  })
  return ticks.reduce((total, one) => total + one, 0) / TICKS_PER_SECOND
}
