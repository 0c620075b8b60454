// VMs of namespaces for tests: a slot of this machine, a VPC, and the driver. What this machine lacks
// for them is said, and is a failure where CI is set.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { addressAt } from '#emulator/compute/address-plan.ts'
import type { VirtualMachine } from '#emulator/compute/machines.ts'
import { createNetnsMachines } from '#emulator/compute/netns/machines.ts'
import { startNameServer } from '#emulator/compute/netns/name-server.ts'
import { missingForNetns } from '#emulator/compute/netns/offer.ts'
import { claimSlot, type Slot } from '#emulator/compute/netns/slots.ts'
import { sweepSlot } from '#emulator/compute/netns/sweep.ts'
import { createVpcNamespace, removeVpcNamespace } from '#emulator/compute/netns/vpc-namespace.ts'
import { createIdentitySigner } from '#emulator/google/identity.ts'
import { createSystemClock } from '#functions/adapters/system-clock.ts'
import { anInstance } from './an-instance.ts'

const PROGRAM = join(import.meta.dirname, 'vm-program.mjs')
const DNS_PORT = 18_053

/** True when tests with such VMs cannot run here; says why. Throws in CI. */
export async function cannotHaveVms(): Promise<boolean> {
  const missing = await missingForNetns(process.env['PATH'] ?? '')
  if (missing.length === 0) return false
  const why = `VMs with Docker need what this machine lacks: ${missing.join(', ')}`
  if (process.env['CI']) throw new Error(why)
  console.warn(`Tests are skipped. ${why}`)
  return true
}

export type NetnsVms = Awaited<ReturnType<typeof openNetnsVms>>

export async function openNetnsVms() {
  const dir = mkdtempSync(join(tmpdir(), 'wherry-vms-'))
  const slot = await claimSlot(sweepSlot)
  await createVpcNamespace(slot, { dns: DNS_PORT })
  const names = await startNameServer({
    host: slot.uplink.host,
    port: DNS_PORT,
    project: 'demo',
    find: (name) => (name === 'vm-2' ? addressAt(slot.plan.vms, 2) : undefined),
  })
  const machines = createNetnsMachines({
    slot,
    project: 'demo',
    projectNumber: '1234',
    dir,
    command: [process.execPath, PROGRAM],
    env: {},
    identity: await createIdentitySigner(join(dir, 'identity.pem')),
    clock: createSystemClock(),
    log: createMemoryLog(),
  })
  return {
    dir,
    slot,
    machines,
    /** The n-th VM. */
    vm: (n: number) => virtualMachine(slot, n),
    async close() {
      await machines.close()
      names.close()
      await removeVpcNamespace(slot.name)
      await sweepSlot(slot.name)
      await slot.release()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

function virtualMachine({ plan }: Slot, n: number): VirtualMachine {
  const internalIp = addressAt(plan.vms, n)
  const podRange = `${addressAt(plan.pods, n * 256)}/24`
  const instance = anInstance({
    name: `vm-${n}`,
    id: `100${n}`,
    networkInterfaces: [
      {
        kind: 'compute#networkInterface',
        name: 'nic0',
        network: 'global/networks/default',
        networkIP: internalIp,
        aliasIpRanges: [{ ipCidrRange: podRange, subnetworkRangeName: 'pods' }],
        accessConfigs: [],
      },
    ],
  })
  const { name, id } = instance
  return { name, id, internalIp, podRange, describe: () => instance, isPreempted: () => false }
}
