// Load balancers that cannot have their own address on this machine (a port below 1024 without the
// right to it, or one that is taken) listen on a free port: a person must be told which.

import type { Listener } from './compute/load-balancer.ts'

/** A line for each such listener that was not named before; `known` remembers them. */
export function newElsewhere(listeners: readonly Listener[], known: Set<string>): string[] {
  const lines = listeners
    .filter(({ address, port, host, hostPort }) => host !== address || hostPort !== port)
    .map(({ address, port, host, hostPort }) => {
      return `${address}:${port} cannot be had on this machine, open http://${host}:${hostPort}`
    })
  const fresh = lines.filter((line) => !known.has(line))
  for (const line of fresh) known.add(line)
  return fresh
}
