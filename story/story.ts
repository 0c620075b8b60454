// What a run of the story leaves: every request of every act, and what happened when. The page, the
// document and the tests are made from this and nothing else (story.json).

import type { RequestRecord } from '../bench/failover/load.ts'
import type { Reaction } from './assumptions.ts'

export const ACT_NAMES = ['one-vm', 'three-vms', 'cluster'] as const

export type ActName = (typeof ACT_NAMES)[number]

/** Who did it: something broke, a person, or the cluster by itself. */
export type Actor = 'fault' | 'person' | 'cluster'

export interface Moment {
  /** Milliseconds since 1970. */
  at: number
  who: Actor
  what: string
  /** What was typed for it. */
  command?: string
  /** Something breaks: failed requests are counted from this moment on. */
  breaks?: 'container' | 'vm'
  /** When the fault was certainly there: it happened between `at` and then. */
  until?: number
}

/** A VM and what ran on it before anything broke. */
export interface VmLayout {
  name: string
  isLost: boolean
  containers: {
    name: string
    /** It runs, but nobody asks it until somebody switches. */
    isBackup: boolean
    isKilled: boolean
  }[]
}

export interface Act {
  name: ActName
  /** What the VMs and containers of this act are. */
  machines: string
  layout: VmLayout[]
  /** The first request may be sent from then on; milliseconds since 1970. */
  startedAt: number
  /** In the order of time. */
  moments: Moment[]
  /** In the order of their sending. */
  records: RequestRecord[]
  /** Of an act with a database: how many questions it had before its VM died, and in the end. */
  kept?: { before: number; after: number }
  /** What was typed in the end, and what it said. */
  transcript: { command: string; output: string }[]
}

export interface Story {
  about: {
    /** `2026-11-29`. */
    day: string
    /** `2 cores and 8 GB (linux x64)`. */
    machine: string
    perSecond: number
    /** How long a visitor waits. */
    patienceMs: number
    /** Above 1: people reacted that many times faster than assumed. */
    faster: number
  }
  /** What was assumed of people, before `faster`. */
  reactions: Record<'one-vm' | 'three-vms', Reaction[]>
  acts: Act[]
}
