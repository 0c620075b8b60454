// VMs' boot disks: files that take no more room than what is written to them, each a filesystem of the
// size that the instance asks for.

import { existsSync, renameSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { objectOf, type Json } from '../json.ts'
import type { Instance } from '../state.ts'
import { run } from './run.ts'

/** Google's default for Container-Optimized OS. */
const DEFAULT_GB = 10

/** The VM's disk, made when it is not there yet; answers the image file. */
export async function ensureDisk(folder: string, instance: Instance): Promise<string> {
  const image = join(folder, 'disk.img')
  if (!existsSync(image)) await makeDisk(image, bootDiskGb(instance))
  return image
}

async function makeDisk(image: string, gigabytes: number): Promise<void> {
  const unfinished = `${image}.new`
  const file = await open(unfinished, 'w')
  await file.truncate(gigabytes * 10 ** 9)
  await file.close()
  const quick = 'lazy_itable_init=1,nodiscard'
  await run('mkfs.ext4', ['-q', '-F', '-m', '0', '-O', '^has_journal', '-E', quick, unfinished])
  renameSync(unfinished, image)
}

function bootDiskGb({ disks }: Instance): number {
  const boot: Json = disks.find((disk) => disk['boot'] === true) ?? disks[0] ?? {}
  const asked = Number(boot['diskSizeGb'] ?? objectOf(boot, 'initializeParams')?.['diskSizeGb'])
  return asked > 0 ? asked : DEFAULT_GB
}
