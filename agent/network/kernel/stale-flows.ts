// UDP has no connections that end: a client that goes on sending keeps the translation of its first
// packet alive, also when the endpoint is gone or only came later. Such entries are taken out of the
// kernel's connection tracking, as kube-proxy does (pkg/proxy/conntrack/cleanup.go). TCP connections are
// left to their clients, but for those that were never answered: their next attempt finds somebody.

import type { PortRouting } from './service-rules.ts'
import { run } from './programs.ts'

/** A Service's UDP entry point and where it leads. */
export interface UdpTarget {
  ip: string
  port: number
  endpoints: readonly string[]
}

/** The addresses of all endpoints of a port. */
export function endpointAddresses({ all, local }: PortRouting): string[] {
  return [...new Set([...all, ...local].map(({ ip }) => ip))]
}

/** Forgets the flows of what has changed: those to endpoints that went, and those that led nowhere. */
export async function forgetStaleFlows(
  before: readonly UdpTarget[],
  after: readonly UdpTarget[],
): Promise<void> {
  const now = new Map(after.map((target) => [keyOf(target), target]))
  const was = new Map(before.map((target) => [keyOf(target), target]))
  for (const target of before) {
    const kept = new Set(now.get(keyOf(target))?.endpoints)
    for (const endpoint of target.endpoints) {
      if (!kept.has(endpoint)) await forget(target, ['--reply-src', endpoint])
    }
  }
  for (const target of after) {
    const isFirst = (was.get(keyOf(target))?.endpoints.length ?? 0) === 0
    // Flows from before there was an endpoint: the Service's own address answers in them.
    if (isFirst && target.endpoints.length > 0) await forget(target, ['--reply-src', target.ip])
  }
}

/**
 * Forgets TCP connections to these endpoints that got no answer: for two minutes the kernel would send
 * each attempt again, and whoever comes from the same port, to where nobody is.
 */
export async function forgetUnanswered(endpoints: Iterable<string>): Promise<void> {
  for (const endpoint of new Set(endpoints)) {
    await remove(['-p', 'tcp', '--state', 'SYN_SENT', '--reply-src', endpoint])
  }
}

async function forget({ ip, port }: UdpTarget, filter: readonly string[]): Promise<void> {
  await remove(['-p', 'udp', '--orig-dst', ip, '--orig-port-dst', String(port), ...filter])
}

async function remove(filter: readonly string[]): Promise<void> {
  await run('conntrack', ['-D', ...filter]).catch((error: unknown) => {
    // It fails when there is nothing to delete.
    if (!/0 flow entries have been deleted/.test(String(error))) throw error
  })
}

function keyOf({ ip, port }: UdpTarget): string {
  return `${ip}:${port}`
}
