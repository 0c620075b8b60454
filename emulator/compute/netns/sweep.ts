// Takes away what an emulator that was killed has left: VMs that stood still when it died, namespaces,
// links, control groups, loop devices. Only for a slot that nobody holds (slots.ts).

import { readdirSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { childrenOf, freezeCgroup, processesOf, removeCgroup } from './cgroups.ts'
import { sweepLoops } from './loop-devices.ts'
import { attempt, run } from './run.ts'
import { removeVpcNamespace } from './vpc-namespace.ts'

const EMPTY_MS = 10_000

/** `name`: the slot's, `wherry0`. */
export async function sweepSlot(name: string): Promise<void> {
  for (const vm of childrenOf(name)) await emptyCgroup(`${name}/${vm}`)
  removeCgroup(name)
  for (const netns of namespaces()) {
    if (netns.startsWith(`${name}-`)) await attempt(run('ip', ['netns', 'del', netns]))
  }
  if (namespaces().includes(name)) await removeVpcNamespace(name)
  await sweepLoops(name)
}

/** Kills every process in it, and removes it. */
export async function emptyCgroup(group: string): Promise<void> {
  // In v1 what stands still cannot even die.
  freezeCgroup(group, false)
  const deadline = Date.now() + EMPTY_MS
  for (;;) {
    const left = processesOf(group)
    for (const pid of left) killIfThere(pid)
    if (left.length === 0 && removeCgroup(group)) return
    if (Date.now() > deadline) throw new Error(`processes survive in ${group}: ${left.join(' ')}`)
    await delay(10)
  }
}

function namespaces(): string[] {
  try {
    return readdirSync('/run/netns')
  } catch {
    // Nobody has made one yet.
    return []
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has gone meanwhile: that is what is wanted.
  }
}
