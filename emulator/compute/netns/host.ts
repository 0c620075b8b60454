// Everything that VMs of namespaces need around them, put together: a slot of this machine, the VPC,
// ways out of it for what agents talk to, the name server, the image registry.

import { nameOf } from '../links.ts'
import type { Instance } from '../state.ts'
import type { VmHost, VmHostOptions } from '../vm-host.ts'
import { createRoutedVpc } from '../vpc.ts'
import { removeCgroup } from './cgroups.ts'
import { openImageMedia } from './disk-media.ts'
import { createKernelFirewall } from './firewall.ts'
import { createKernelBalancers } from './load-balancer.ts'
import { createNetnsMachines } from './machines.ts'
import { startNameServer } from './name-server.ts'
import { startRegistry } from './registry.ts'
import { relay } from './relays.ts'
import { claimSlot } from './slots.ts'
import { sweepSlot } from './sweep.ts'
import { createVpcNamespace, removeVpcNamespace } from './vpc-namespace.ts'

export type NetnsHostOptions = VmHostOptions & {
  /** The slot of last time. */
  slot: number | undefined
  instances: () => readonly Instance[]
}

const DNS_PORT = 18_053

export async function openNetnsHost(options: NetnsHostOptions): Promise<VmHost> {
  const slot = await claimSlot(sweepSlot, options.slot)
  const ends: (() => Promise<void> | void)[] = [
    () => slot.release(),
    () => void removeCgroup(slot.name),
    () => removeVpcNamespace(slot.name),
  ]
  const close = async (): Promise<void> => {
    for (const end of ends.splice(0).toReversed()) await end()
  }
  try {
    const { host } = slot.uplink
    await createVpcNamespace(slot, { dns: DNS_PORT })
    const expose = (port: number) => relay(host, port)
    const pubsubPort = Number(new URL(`http://${options.pubsubHost}`).port)
    ends.push(await expose(pubsubPort))
    const { project } = options
    const find = (name: string, zone: string) => addressOf(options.instances(), name, zone)
    const names = await startNameServer({ host, port: DNS_PORT, project, find })
    ends.push(() => names.close())
    const registry = await startRegistry(slot, options)
    ends.push(() => registry.close())
    const media = await openImageMedia(slot.name, options.dir)
    ends.push(() => media.close())
    return {
      kind: 'docker',
      machines: createNetnsMachines({
        ...options,
        slot,
        env: { PUBSUB_EMULATOR_HOST: `${host}:${pubsubPort}` },
      }),
      media,
      vpc: createRoutedVpc(slot.uplink.prober),
      plan: slot.plan,
      createBalancers: (deps) => createKernelBalancers(slot, deps),
      createFirewall: (ctx) => createKernelFirewall(slot, ctx),
      expose,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

function addressOf(instances: readonly Instance[], name: string, zone: string): string | undefined {
  const found = instances.find((one) => one.name === name && nameOf(one.zone) === zone)
  return found?.networkInterfaces[0]?.networkIP
}
