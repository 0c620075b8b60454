// Packets for a VM that take longer. The kernel's netem does it where there is one. Elsewhere every
// packet that is about to go down the VM's cable is turned aside into a VXLAN, a thread of this process
// holds it back (delay-relay.ts), and what comes out of a second VXLAN goes down the cable. Routing,
// addresses and connection tracking see nothing of that.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { DelayOrder } from './delay-relay.ts'
import { attempt, ip, nft, run } from './run.ts'
import type { Slot } from './slots.ts'
import { delayLinkOf, linkOf, MTU, type VmNetwork } from './vpc-namespace.ts'

export interface Delays {
  /** `ms`: how much longer, one way. A second call takes the place of the first. */
  delay(vm: VmNetwork, ms: number): Promise<void>
  heal(vm: VmNetwork): Promise<void>
}

/** VXLAN network identifiers on the way to the thread and from it. */
const AWAY = 1
const BACK = 2
/** Tells packets that have waited from those that must. It ends with the VM's cable. */
const WAITED = 0x51000000
/** A packet of the VPC and what VXLAN puts around it. */
const RELAY_MTU = MTU + 100

export function createDelays(slot: Slot): Delays {
  const relays = new Map<string, Worker>()

  async function heal(vm: VmNetwork): Promise<void> {
    const link = linkOf(vm)
    await attempt(run('tc', ['-n', slot.name, 'qdisc', 'del', 'dev', link, 'root']))
    const relay = relays.get(link)
    if (!relay) return
    relays.delete(link)
    await attempt(nft(`delete table netdev ${tableOf(link)}\n`, slot.name))
    for (const name of [awayOf(link), backOf(link)])
      await attempt(run('ip', ['-n', slot.name, 'link', 'del', name]))
    await relay.terminate()
    if (relays.size === 0) await attempt(run('ip', ['link', 'del', delayLinkOf(slot.name)]))
  }

  async function delay(vm: VmNetwork, ms: number): Promise<void> {
    await heal(vm)
    const link = linkOf(vm)
    const where = ['-n', slot.name, 'qdisc', 'replace', 'dev', link, 'root']
    if (await attempt(run('tc', [...where, 'netem', 'delay', `${ms}ms`]))) return
    if (relays.size === 0) await addDelayLink(slot)
    const order: DelayOrder = { host: relayAddresses(slot).host, ms, away: AWAY, back: BACK }
    const program = new URL('delay-relay.ts', import.meta.url)
    const relay = new Worker(program, { workerData: order, execArgv: [] })
    relays.set(link, relay)
    relay.unref()
    try {
      const [port]: unknown[] = await once(relay, 'message')
      await turnAside(slot, link, Number(port))
    } catch (error) {
      await heal(vm)
      throw error
    }
  }

  // One after the other: the link is shared.
  let last: Promise<void> = Promise.resolve()
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const mine = last.then(work)
    last = mine.catch(() => {})
    return mine
  }
  return {
    delay: (vm, ms) => inTurn(() => delay(vm, ms)),
    heal: (vm) => inTurn(() => heal(vm)),
  }
}

const tableOf = (link: string): string => `delay_${link}`
const awayOf = (link: string): string => `away-${link}`
const backOf = (link: string): string => `back-${link}`

/** A second link between the VPC and this machine, wide enough for wrapped packets. */
function relayAddresses({ number }: Slot): { host: string; vpc: string } {
  return { host: `10.127.${number}.9`, vpc: `10.127.${number}.10` }
}

async function addDelayLink(slot: Slot): Promise<void> {
  const name = delayLinkOf(slot.name)
  const { host, vpc } = relayAddresses(slot)
  await attempt(run('ip', ['link', 'del', name]))
  const mtu = `mtu ${RELAY_MTU}`
  await ip([
    `link add ${name} ${mtu} type veth peer name delays ${mtu} netns ${slot.name}`,
    `addr add ${host}/30 dev ${name}`,
    `link set ${name} up`,
  ])
  await ip([`addr add ${vpc}/30 dev delays`, 'link set delays up'], slot.name)
}

async function turnAside(slot: Slot, link: string, port: number): Promise<void> {
  const { host, vpc } = relayAddresses(slot)
  const ends = [awayOf(link), backOf(link)]
  const tunnel = `remote ${host} local ${vpc} dstport ${port} nolearning`
  await ip(
    ends.map((name, index) => {
      const id = index === 0 ? AWAY : BACK
      return `link add ${name} mtu ${MTU} type vxlan id ${id} ${tunnel}`
    }),
    slot.name,
  )
  for (const name of ends) {
    // The other end of a tunnel that ends in a program cannot do these for the kernel.
    const off = ['-K', name, 'tx', 'off', 'tso', 'off', 'gso', 'off']
    await run('ethtool', off, { netns: slot.name })
  }
  await ip(
    ends.map((name) => `link set ${name} up`),
    slot.name,
  )
  await nft(
    `table netdev ${tableOf(link)} {
  chain away {
    type filter hook egress device "${link}" priority 0; policy accept;
    meta mark != ${WAITED} meta protocol ip fwd to "${awayOf(link)}"
  }
  chain back {
    type filter hook ingress device "${backOf(link)}" priority 0; policy drop;
    meta protocol ip meta mark set ${WAITED} fwd to "${link}"
  }
}
`,
    slot.name,
  )
}
