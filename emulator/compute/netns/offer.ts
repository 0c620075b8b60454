// Whether this machine can have VMs of namespaces with a Docker Engine each, and if not, what it lacks.

import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { run } from './run.ts'

/** Debian's package of each program that VMs need. `npm run setup:linux` installs them. */
export const PACKAGES: Readonly<Record<string, string>> = {
  dockerd: 'docker.io',
  'docker-registry': 'docker-registry',
  nft: 'nftables',
  ip: 'iproute2',
  conntrack: 'conntrack',
  ethtool: 'ethtool',
  nsenter: 'util-linux',
  unshare: 'util-linux',
  setpriv: 'util-linux',
  losetup: 'mount',
  sysctl: 'procps',
  'mkfs.ext4': 'e2fsprogs',
  busybox: 'busybox-static',
}

/** What is missing, a phrase each; empty: VMs can be had. */
export async function missingForNetns(path: string): Promise<string[]> {
  if (process.platform !== 'linux') return ['Linux']
  if (process.getuid?.() !== 0) return ['root']
  const absent = missingPrograms(path)
  if (absent.length > 0) return absent
  const lacks: string[] = []
  if (!existsSync('/dev/loop-control')) lacks.push('loop devices')
  if (!isWritable('/sys/fs/cgroup')) lacks.push('control groups that can be written')
  const canUnshare = await run('unshare', ['--net', '--pid', '--mount', '--fork', 'true']).then(
    () => true,
    () => false,
  )
  if (!canUnshare) lacks.push('the right to make namespaces')
  return lacks
}

/** Programs of PACKAGES that are not on the path. */
export function missingPrograms(path: string): string[] {
  const folders = path.split(delimiter)
  return Object.keys(PACKAGES).filter(
    (name) => !folders.some((folder) => existsSync(join(folder, name))),
  )
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}
