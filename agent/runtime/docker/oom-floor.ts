// How far this machine lets a process be kept from the kernel's out-of-memory killer: without
// CAP_SYS_RESOURCE (a VM that is itself a container) not below what it has.

import { readFileSync } from 'node:fs'

const CAP_SYS_RESOURCE = 24n

/** The lowest oom_score_adj that containers can have here. */
export function oomFloor(): number {
  const capabilities = /^CapEff:\s*([0-9a-f]+)$/m.exec(
    readFileSync('/proc/self/status', 'utf8'),
  )?.[1]
  const isAllowed = ((BigInt(`0x${capabilities ?? '0'}`) >> CAP_SYS_RESOURCE) & 1n) === 1n
  return isAllowed ? -1000 : Number(readFileSync('/proc/self/oom_score_adj', 'utf8'))
}
