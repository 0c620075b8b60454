// Answers of the cluster's own names. Pure.

import type { Answer, RecordType } from 'dns-packet'
import type { ClusterNames, NameRecords } from './cluster-names.ts'

/** As kube-dns: long enough to spare questions, short enough to follow pods. */
export const TTL_SECONDS = 30

/** Headers' answer codes: https://www.rfc-editor.org/rfc/rfc1035#section-4.1.1 */
export const RCODE = {
  ok: 0,
  format: 1,
  failure: 2,
  noName: 3,
  notImplemented: 4,
  refused: 5,
} as const

/** Records of one answer; more would not fit into any packet that a client takes. */
const RECORDS_MAX = 500

export interface OwnAnswer {
  rcode: number
  answers: Answer[]
  additionals: Answer[]
  authorities: Answer[]
  /** A name elsewhere that the answer leads to. */
  cname?: string
}

/** The answer to a question about the cluster; undefined: the question is about something else. */
export function answerOwn(
  names: ClusterNames,
  question: { name: string; type: string },
): OwnAnswer | undefined {
  const name = question.name.toLowerCase().replace(/\.$/, '')
  const reverse = addressOf(name)
  if (reverse !== undefined) {
    const found = names.findAddress(reverse)
    if (found.length === 0) return undefined
    return question.type === 'PTR'
      ? positive(found.map((data) => ptr(question.name, data)))
      : empty(names)
  }
  if (!names.isOurs(name)) return undefined
  const records = names.find(name)
  if (!records) return { ...empty(names), rcode: RCODE.noName }
  if (name === names.domain && question.type === 'SOA') return positive([soa(names)])
  const answers = recordsOf(question, records).slice(0, RECORDS_MAX)
  if (records.cname) return { ...positive(answers), cname: records.cname }
  if (answers.length === 0) return empty(names)
  return { ...positive(answers), additionals: addressesOf(names, records, question.type) }
}

function recordsOf({ name, type }: { name: string; type: string }, records: NameRecords): Answer[] {
  const common = { name, ttl: TTL_SECONDS, class: 'IN' as const }
  if (records.cname) return [{ ...common, type: 'CNAME', data: records.cname }]
  switch (type) {
    case 'A':
      return shuffled(records.a).map((data) => ({ ...common, type: 'A', data }))
    case 'SRV':
      return records.srv.map(({ port, target }) => ({
        ...common,
        type: 'SRV',
        data: { port, target, priority: 0, weight: weightOf(records.srv.length) },
      }))
    case 'TXT':
      return records.txt ? [{ ...common, type: 'TXT', data: records.txt }] : []
    default:
      return []
  }
}

/** As CoreDNS: all the same, adding up to 100. */
function weightOf(count: number): number {
  return Math.max(1, Math.floor(100 / count))
}

/** The addresses of what SRV records name. */
function addressesOf(names: ClusterNames, { srv }: NameRecords, type: string): Answer[] {
  if (type !== 'SRV') return []
  const targets = [...new Set(srv.map(({ target }) => target))].slice(0, RECORDS_MAX)
  return targets.flatMap((name) =>
    (names.find(name)?.a ?? []).map((data): Answer => ({
      name,
      type: 'A',
      ttl: TTL_SECONDS,
      class: 'IN',
      data,
    })),
  )
}

function positive(answers: Answer[]): OwnAnswer {
  return { rcode: RCODE.ok, answers, additionals: [], authorities: [] }
}

/** Nothing of this type; with the record that says for how long that may be believed. */
function empty(names: ClusterNames): OwnAnswer {
  return { rcode: RCODE.ok, answers: [], additionals: [], authorities: [soa(names)] }
}

function soa({ domain }: ClusterNames): Answer {
  return {
    name: domain,
    type: 'SOA',
    ttl: TTL_SECONDS,
    class: 'IN',
    data: {
      mname: `ns.dns.${domain}`,
      rname: `hostmaster.${domain}`,
      serial: 1,
      refresh: 7200,
      retry: 1800,
      expire: 86_400,
      minimum: TTL_SECONDS,
    },
  }
}

function ptr(name: string, data: string): Answer {
  const type: RecordType = 'PTR'
  return { name, type, ttl: TTL_SECONDS, class: 'IN', data }
}

/** `2.1.4.10.in-addr.arpa` → `10.4.1.2`. */
function addressOf(name: string): string | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name)
  return match?.slice(1, 5).reverse().join('.')
}

/** Clients take the first: it shall not be the same for all. */
function shuffled<T>(list: readonly T[]): T[] {
  const mixed = [...list]
  for (let index = mixed.length - 1; index > 0; index--) {
    const other = Math.floor(Math.random() * (index + 1))
    const [a, b] = [mixed[index], mixed[other]]
    if (a === undefined || b === undefined) continue
    mixed[index] = b
    mixed[other] = a
  }
  return mixed
}
