// What can go wrong with the network of a VM of namespaces: cut off, losing packets, slow.

import type { Impairment } from '../machines.ts'
import { createDelays } from './delays.ts'
import { attempt, nft } from './run.ts'
import type { Slot } from './slots.ts'
import { linkOf, type VmNetwork } from './vpc-namespace.ts'

type NetworkImpairment = Extract<Impairment, { kind: 'partition' | 'delay' | 'loss' }>

export function isOfNetwork(what: Impairment): what is NetworkImpairment {
  return what.kind === 'partition' || what.kind === 'delay' || what.kind === 'loss'
}

export interface NetworkFaults {
  impair(vm: VmNetwork, what: NetworkImpairment): Promise<void>
  /** Also when a VM goes: the next one of its number is well. */
  heal(vm: VmNetwork): Promise<void>
}

export function createNetworkFaults(slot: Slot): NetworkFaults {
  const delays = createDelays(slot)
  const { name } = slot

  async function lose(link: string, percent: number): Promise<void> {
    const chain = `loses_${link}`
    await nft(
      `add chain ip vpc ${chain}
flush chain ip vpc ${chain}
add rule ip vpc ${chain} numgen random mod 100 < ${percent} drop
add element ip vpc loses { ${link} : jump ${chain} }
`,
      name,
    )
  }

  async function cutOff(link: string, direction: 'both' | 'send' | 'receive'): Promise<void> {
    const sets = {
      both: ['cannot_send', 'cannot_receive'],
      send: ['cannot_send'],
      receive: ['cannot_receive'],
    }[direction]
    await nft(sets.map((set) => `add element ip vpc ${set} { ${link} }\n`).join(''), name)
  }

  return {
    async impair(vm, what) {
      if (what.kind === 'delay') await delays.delay(vm, what.ms)
      else if (what.kind === 'loss') await lose(linkOf(vm), what.percent)
      else await cutOff(linkOf(vm), what.direction)
    },
    async heal(vm) {
      const link = linkOf(vm)
      for (const set of ['cannot_send', 'cannot_receive', 'loses']) {
        await attempt(nft(`delete element ip vpc ${set} { ${link} }\n`, name))
      }
      await attempt(nft(`delete chain ip vpc loses_${link}\n`, name))
      await delays.heal(vm)
    },
  }
}
