// Persistent disks of a real machine: block devices with a file system, by the machine's own tools. As
// the CSI driver's node service.

import { execFile } from 'node:child_process'
import { mkdir, readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { DiskDriver } from './driver.ts'

const run = promisify(execFile)
const DEVICES = '/dev/disk/by-id'
/** A file system of a terabyte takes some seconds, a check after a crash some more. */
const TIMEOUT_MS = 120_000
/** blkid: nothing was recognised. */
const BLANK = 2
/** e2fsck: errors were corrected. */
const CORRECTED = 1

/** `devices`: where the machine links its disks by name; Google's images do it with udev. */
export function createBlockDriver(devices: string = DEVICES): DiskDriver {
  const find = (name: string): Promise<string | undefined> =>
    realpath(join(devices, `google-${name}`)).catch(() => undefined)

  async function need(name: string): Promise<string> {
    const device = await find(name)
    if (device) return device
    throw new Error(`there is no device google-${name}`)
  }

  return {
    isThere: async (name) => (await find(name)) !== undefined,
    async mount({ deviceName, target, fsType, isReadOnly, options }) {
      if (await isMounted(target)) return
      const device = await need(deviceName)
      const found = await fileSystemOf(device)
      if (found === undefined) {
        if (isReadOnly) throw new Error(`${device} is blank and may not be written`)
        await makeFileSystem(device, fsType)
      } else if (isExt(found) && !isReadOnly) await check(device)
      await mkdir(target, { recursive: true })
      const words = [isReadOnly ? 'ro' : 'defaults', ...options].join(',')
      await tool('mount', ['-t', found ?? fsType, '-o', words, device, target])
    },
    async unmount(target) {
      // umount writes back what is dirty before it returns.
      while (await isMounted(target)) await tool('umount', [target])
    },
    async grow({ deviceName, target }) {
      const device = await need(deviceName)
      const found = await fileSystemOf(device)
      if (found === 'xfs') await tool('xfs_growfs', [target])
      else if (isExt(found)) await tool('resize2fs', [device])
    },
    async mountedBelow(folder) {
      return (await mountPoints()).filter((point) => point.startsWith(`${folder}/`))
    },
  }
}

function isExt(fsType: string | undefined): boolean {
  return fsType === 'ext4' || fsType === 'ext3' || fsType === 'ext2'
}

/** Undefined: blank. Anything that cannot be told is an error, never taken for blank. */
async function fileSystemOf(device: string): Promise<string | undefined> {
  try {
    const { stdout } = await tool('blkid', [
      '--probe',
      '--match-tag',
      'TYPE',
      '--match-tag',
      'PTTYPE',
      '--output',
      'export',
      device,
    ])
    const type = /^TYPE=(.+)$/m.exec(stdout)?.[1]
    if (type) return type
    if (/^PTTYPE=/m.test(stdout)) throw new Error(`${device} has partitions`)
    return undefined
  } catch (error) {
    if (codeOf(error) === BLANK) return undefined
    throw error
  }
}

async function makeFileSystem(device: string, fsType: string): Promise<void> {
  if (fsType === 'xfs') await tool('mkfs.xfs', [device])
  else if (isExt(fsType)) await tool(`mkfs.${fsType}`, ['-F', '-m0', device])
  else throw new Error(`file systems of type ${fsType} are not made on this node`)
}

/** After a power cut: replays the journal, repairs what is safe to repair. */
async function check(device: string): Promise<void> {
  try {
    await tool('fsck', ['-a', device])
  } catch (error) {
    const code = codeOf(error)
    if (code !== CORRECTED) throw error
  }
}

async function isMounted(target: string): Promise<boolean> {
  return (await mountPoints()).includes(target)
}

async function mountPoints(): Promise<string[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8')
  return text.split('\n').flatMap((line) => {
    const point = line.split(' ')[4]
    return point ? [point.replace(/\\(\d{3})/g, (_, octal: string) => octalText(octal))] : []
  })
}

/** The kernel writes spaces and the like as `\040`. */
function octalText(octal: string): string {
  return String.fromCharCode(Number.parseInt(octal, 8))
}

function tool(name: string, args: readonly string[]): Promise<{ stdout: string }> {
  return run(name, [...args], { timeout: TIMEOUT_MS, env: ENV })
}

const ENV = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C' }

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
