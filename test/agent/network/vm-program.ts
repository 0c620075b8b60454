// The network part of an agent in a VM of test/agent/network/world.ts.

import { join } from 'node:path'
import { openAddressPool } from '#agent/network/address-pool.ts'
import { createKernelNetwork } from '#agent/network/kernel/kernel-network.ts'
import { run } from '#agent/network/kernel/programs.ts'
import type { SandboxNetwork, WantedNetwork } from '#agent/network/network.ts'

export type VmCommand =
  | { do: 'apply'; wanted: WantedNetwork }
  | { do: 'add'; uid: string; sandbox: SandboxNetwork }
  | { do: 'remove'; uid: string }
  | { do: 'table' }

interface Facts {
  node: { name: string; ip: string; podRange: string }
  stateDir: string
  resolvConf: string
  /** What an agent before this one has kept. */
  remembered?: WantedNetwork
}

const { node, stateDir, resolvConf, remembered }: Facts = JSON.parse(process.argv[2] ?? '{}')
const say = (message: string, fields?: object): void => {
  console.error(`${node.name}: ${message}`, fields ?? '')
}
const network = await createKernelNetwork({
  node,
  pool: openAddressPool(node.podRange, join(stateDir, 'addresses.json')),
  remembered,
  stateDir,
  resolvConf,
  log: { info: say, warn: say, error: say },
  now: () => Date.now(),
})

async function obey(command: VmCommand): Promise<string> {
  if (command.do === 'add') return network.addPod(command.uid, command.sandbox)
  if (command.do === 'table') return run('nft', ['-j', 'list', 'table', 'ip', 'wherry'])
  if (command.do === 'apply') await network.apply(command.wanted)
  else await network.removePod(command.uid)
  return ''
}

process.on('message', ({ id, command }: { id: number; command: VmCommand }) => {
  obey(command).then(
    (answer) => process.send?.({ id, answer }),
    (error: unknown) => process.send?.({ id, error: String(error) }),
  )
})
process.on('disconnect', () => process.exit(0))
process.send?.({})
