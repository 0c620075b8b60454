// Disks of loop devices: what is written to them stays, whatever becomes of the devices, and no device is left
// behind, however the emulator ends.

import { spawn } from 'node:child_process'
import { constants, mkdirSync, mkdtempSync, readlinkSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { eventually } from '#test/local-wherry.ts'
import { cannotHaveVms } from '#test/support/netns-vms.ts'
import { devicesOf } from '../disk-media.ts'
import { openImageMedia } from './disk-media.ts'
import { run } from './run.ts'
import { sweepSlot } from './sweep.ts'

const DISK = 'us-east1-c/pvc-1'
const AT = { deviceName: 'pvc-1', isReadOnly: false }
/** Of no slot of this machine, so that nobody else sweeps it. */
const SLOT = `wherry-test-${process.pid}`
const PATIENCE = { patienceMs: 5_000 }

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'wherry-disks-'))
})
afterEach(async () => {
  await sweepSlot(SLOT)
  rmSync(dir, { recursive: true, force: true })
})

const opened = () => openImageMedia(SLOT, dir, PATIENCE)

/** The device that a VM sees. */
function deviceOf(vm: string): string {
  return readlinkSync(join(devicesOf(join(dir, 'vms', vm)), 'google-pvc-1'))
}

/** The devices of disks of this test. */
async function devices(): Promise<string[]> {
  const listed = await run('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE'])
  return listed.split('\n').filter((line) => line.includes(`${dir}/`))
}

async function write(device: string, text: string): Promise<void> {
  const file = await open(device, 'r+')
  try {
    await file.write(text, 0)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function read(device: string, length: number): Promise<string> {
  const file = await open(device, 'r')
  const { buffer } = await file.read(Buffer.alloc(length), 0, length, 0)
  await file.close()
  return buffer.toString()
}

describe.skipIf(await cannotHaveVms())('a disk of a loop device', () => {
  test('is free when the emulator stops, and there again at the next start', async () => {
    const first = await opened()
    await first.create(DISK, 1)
    await first.attach(DISK, { vm: 'vm-1', ...AT })
    await write(deviceOf('vm-1'), 'kept')
    await first.close()
    expect(await devices()).toEqual([])

    const second = await opened()
    await second.attach(DISK, { vm: 'vm-1', ...AT })
    expect(await read(deviceOf('vm-1'), 4)).toBe('kept')
    await expect(second.attach(DISK, { vm: 'vm-2', ...AT })).rejects.toThrow('used by')
    await second.close()
  })

  test('gets a device that works after the machine was rebooted', async () => {
    const first = await opened()
    await first.create(DISK, 1)
    await first.attach(DISK, { vm: 'vm-1', ...AT })
    await write(deviceOf('vm-1'), 'kept')
    // All that a reboot leaves: the file, and a link to a device that is nobody's or another's.
    await run('losetup', ['--detach', deviceOf('vm-1')])

    const second = await opened()
    await second.attach(DISK, { vm: 'vm-1', ...AT })
    expect(await devices()).toHaveLength(1)
    expect(await read(deviceOf('vm-1'), 4)).toBe('kept')
    await second.close()
  })

  test('leaves no device behind when the emulator is killed', async () => {
    const program = `
      const { openImageMedia } = await import(${JSON.stringify(join(import.meta.dirname, 'disk-media.ts'))})
      const media = await openImageMedia(${JSON.stringify(SLOT)}, ${JSON.stringify(dir)})
      await media.create(${JSON.stringify(DISK)}, 1)
      await media.attach(${JSON.stringify(DISK)}, { vm: 'vm-1', deviceName: 'pvc-1', isReadOnly: false })
      console.log('attached')
      setInterval(() => {}, 1000)
    `
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
      cwd: join(import.meta.dirname, '../../..'),
    })
    try {
      for await (const line of createInterface({ input: child.stdout })) {
        expect(line).toBe('attached')
        break
      }
    } finally {
      child.kill('SIGKILL')
    }
    await eventually('it is dead', async () => child.signalCode === 'SIGKILL')
    expect(await devices()).toHaveLength(1)
    await sweepSlot(SLOT)
    expect(await devices()).toEqual([])
  })

  test('keeps its device when its folder was started again in another slot', async () => {
    const killed = await opened()
    await killed.create(DISK, 1)
    const living = await openImageMedia(`${SLOT}-other`, dir, PATIENCE)
    await living.attach(DISK, { vm: 'vm-1', ...AT })
    await sweepSlot(SLOT)
    expect(await devices()).toHaveLength(1)
    await living.close()
    expect(await devices()).toEqual([])
  })

  test('is given to no other VM while it is still mounted where it was detached', async () => {
    const media = await openImageMedia(SLOT, dir, { patienceMs: 100 })
    await media.create(DISK, 1)
    await media.attach(DISK, { vm: 'vm-1', ...AT })
    const mount = await open(deviceOf('vm-1'), constants.O_RDONLY)
    await media.detach(DISK, { vm: 'vm-1', deviceName: 'pvc-1' })
    await expect(media.attach(DISK, { vm: 'vm-2', ...AT })).rejects.toThrow('is still mounted')
    await mount.close()
    await eventually('the disk is free', () =>
      media.attach(DISK, { vm: 'vm-2', ...AT }).then(
        () => true,
        () => false,
      ),
    )
    expect(await devices()).toHaveLength(1)
    await media.close()
  })

  test('is read by several VMs through one device, and written when they are gone', async () => {
    const media = await opened()
    await media.create(DISK, 1)
    const reading = { deviceName: 'pvc-1', isReadOnly: true }
    await media.attach(DISK, { vm: 'vm-1', ...reading })
    await media.attach(DISK, { vm: 'vm-2', ...reading })
    expect(deviceOf('vm-1')).toBe(deviceOf('vm-2'))
    await expect(write(deviceOf('vm-1'), 'no')).rejects.toThrow()
    await media.detach(DISK, { vm: 'vm-1', deviceName: 'pvc-1' })
    expect(await devices()).toHaveLength(1)
    await media.detach(DISK, { vm: 'vm-2', deviceName: 'pvc-1' })
    expect(await devices()).toEqual([])
    await media.attach(DISK, { vm: 'vm-3', ...AT })
    await write(deviceOf('vm-3'), 'yes')
    expect(await read(deviceOf('vm-3'), 3)).toBe('yes')
    await media.resize(DISK, 2)
    const bytes = await run('blockdev', ['--getsize64', deviceOf('vm-3')])
    expect(Number(bytes)).toBe(2 * 2 ** 30)
    await media.close()
  })

  test('goes with its file', async () => {
    const media = await opened()
    mkdirSync(join(dir, 'vms'), { recursive: true })
    await media.create(DISK, 1)
    await media.attach(DISK, { vm: 'vm-1', ...AT })
    await media.detach(DISK, { vm: 'vm-1', deviceName: 'pvc-1' })
    await media.remove(DISK)
    expect(await devices()).toEqual([])
    await media.create(DISK, 1)
    await media.attach(DISK, { vm: 'vm-2', ...AT })
    expect(await read(deviceOf('vm-2'), 4)).toBe('\0\0\0\0')
    await media.close()
  })
})
