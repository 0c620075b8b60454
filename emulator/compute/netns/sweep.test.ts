// An emulator that is killed leaves nothing that runs, and what it does leave the next one takes away:
// of the dead one everything, of a living one nothing.

import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect, test } from 'vitest'
import { eventually } from '#test/local-wherry.ts'
import { cannotHaveVms, openNetnsVms } from '#test/support/netns-vms.ts'
import { childrenOf, processesOf } from './cgroups.ts'

const SUPPORT = join(import.meta.dirname, '../../../test/support/netns-vms.ts')
/** Boots a VM, makes it slow, lets it stand still, and says which slot it has. */
const EMULATOR = `
  const { openNetnsVms } = await import(${JSON.stringify(SUPPORT)})
  const vms = await openNetnsVms()
  await vms.machines.boot(vms.vm(2))
  await vms.machines.faults.impair('vm-2', { kind: 'delay', ms: 100 })
  vms.machines.faults.freeze('vm-2')
  console.log(vms.slot.name + ' ' + vms.dir)
  setInterval(() => {}, 1000)
`

test.skipIf(await cannotHaveVms())(
  'the next start sweeps what a killed emulator left',
  async () => {
    const living = await openNetnsVms()
    const child = spawn(process.execPath, ['--input-type=module', '-e', EMULATOR], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: join(import.meta.dirname, '../../..'),
    })
    try {
      await living.machines.boot(living.vm(3))
      const [line] = await once(child.stdout)
      const [slot = ''] = (line ?? '').split(' ')
      expect(slot).toMatch(/^wherry\d+$/)
      expect(slot).not.toBe(living.slot.name)
      expect(processesOf(slot).length).toBeGreaterThan(0)
      child.kill('SIGKILL')
      await eventually('it is dead', async () => child.signalCode === 'SIGKILL')
      const next = await openNetnsVms()
      await next.close()
      expect(childrenOf(slot)).toEqual([])
      expect(readdirSync('/run/netns').filter((name) => name.startsWith(`${slot}-`))).toEqual([])
      const links = readdirSync('/sys/class/net')
      expect(links.filter((name) => name === slot || name.startsWith(`${slot}-`))).toEqual([])
      expect(living.machines.isAlive('vm-3')).toBe(true)
      expect(processesOf(`${living.slot.name}/vm3`).length).toBeGreaterThan(0)
    } finally {
      child.kill('SIGKILL')
      await living.close()
    }
  },
  180_000,
)

async function once(stream: NodeJS.ReadableStream): Promise<string[]> {
  for await (const line of createInterface({ input: stream })) return [line]
  return []
}
