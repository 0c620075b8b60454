// From the records of an act to its numbers.

import type { RequestRecord } from '../bench/failover/load.ts'
import type { Act, Moment } from './story.ts'

/** A stretch of time without an answer; milliseconds since 1970. */
export interface Outage {
  /** When the first request that failed was sent. */
  from: number
  /** When the next one that was answered was sent; the end of the act when none was. */
  to: number
}

export interface ActResult {
  requests: number
  answered: number
  failed: number
  outages: Outage[]
  /** The sum of the outages. */
  downtimeMs: number
  /** Of those that were answered. */
  slowestMs: number
  /** For each fault: what was lost from it on, until the next one. */
  faults: FaultResult[]
}

export interface FaultResult {
  moment: Moment
  kind: 'container' | 'vm'
  /** Requests that ended from then on. */
  requests: number
  failed: number
  /** Of the failed: sent before the fault was certainly there, so maybe inside what died. */
  underWay: number
}

export function resultOf({ moments, records }: Pick<Act, 'moments' | 'records'>): ActResult {
  const failed = records.filter(hasFailed)
  const outages = outagesOf(records)
  const took = records
    .filter((record) => !hasFailed(record))
    .map(({ sentAt, endedAt }) => endedAt - sentAt)
  return {
    requests: records.length,
    answered: records.length - failed.length,
    failed: failed.length,
    outages,
    downtimeMs: outages.reduce((sum, { from, to }) => sum + to - from, 0),
    slowestMs: Math.max(0, ...took),
    faults: faultsOf(moments, records),
  }
}

export function hasFailed({ failure }: RequestRecord): boolean {
  return failure !== undefined
}

/** Failed requests in a row, in the order of their sending, are one outage. */
export function outagesOf(records: readonly RequestRecord[]): Outage[] {
  const outages: Outage[] = []
  let from: number | undefined
  for (const record of records) {
    if (hasFailed(record)) from ??= record.sentAt
    else if (from !== undefined) {
      outages.push({ from, to: record.sentAt })
      from = undefined
    }
  }
  const end = Math.max(...records.map(({ endedAt }) => endedAt))
  return from === undefined ? outages : [...outages, { from, to: end }]
}

function faultsOf(moments: readonly Moment[], records: readonly RequestRecord[]): FaultResult[] {
  const faults = moments.filter(({ breaks }) => breaks !== undefined)
  return faults.flatMap((moment, index): FaultResult[] => {
    const { at, breaks, until: there = at } = moment
    const next = faults[index + 1]?.at ?? Infinity
    const ours = records.filter(({ endedAt }) => endedAt >= at && endedAt < next)
    const failed = ours.filter(hasFailed)
    const underWay = failed.filter(({ sentAt }) => sentAt < there).length
    if (!breaks) return []
    return [{ moment, kind: breaks, requests: ours.length, failed: failed.length, underWay }]
  })
}

/** `Acts 1, 2: a VM is …`, a line for each kind of machine. */
export function machineKinds(acts: readonly Pick<Act, 'machines'>[]): string[] {
  const kinds = [...new Set(acts.map(({ machines }) => machines))]
  return kinds.map((kind) => {
    const numbers = acts.flatMap(({ machines }, index) => (machines === kind ? [index + 1] : []))
    return `${numbers.length === 1 ? 'Act' : 'Acts'} ${numbers.join(', ')}: ${kind}`
  })
}
