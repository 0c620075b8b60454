// Volumes for processes. A process sees the machine's own files, so a volume at /etc/app needs a view
// of the file system that only this container has: a mount namespace (Linux, as root or in a user
// namespace of its own). Its root is an empty tmpfs onto which everything of the real root is bound;
// a mount point that is not there is made in that tmpfs, or in an overlay on the nearest folder that
// is. The machine's own files are never touched. Where that is not possible a container with
// volumes is refused, instead of being run without them.

import { spawnSync } from 'node:child_process'
import type { Mount } from './runtime.ts'

/** How this machine makes mount namespaces; undefined: it does not. */
export type MountSupport = 'root' | 'user' | undefined

const PROGRAM = 'unshare'
const UNSHARE: Readonly<Record<'root' | 'user', readonly string[]>> = {
  root: ['--mount', '--propagation', 'private'],
  user: ['--user', '--map-root-user', '--mount', '--propagation', 'private'],
}

/** Tries it once. */
export function findMountSupport(): MountSupport {
  if (process.platform !== 'linux') return undefined
  const isPossible = (how: 'root' | 'user'): boolean =>
    spawnSync(PROGRAM, [...UNSHARE[how], 'mount', '-t', 'tmpfs', 'tmpfs', '/tmp'], {
      stdio: 'ignore',
    }).status === 0
  if (isPossible('root')) return 'root'
  return isPossible('user') ? 'user' : undefined
}

const TOOLS = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** $1: an empty folder to become the root; $2: the second script; then its arguments. */
const MAKE_ROOT = `set -e
own_path=$PATH; export own_path; ${TOOLS}
mount -t tmpfs -o mode=755 tmpfs "$1"
for entry in /* /.[!.]*; do
  if [ -L "$entry" ]; then cp -P "$entry" "$1$entry"
  elif [ -d "$entry" ]; then mkdir "$1$entry"; mount --rbind "$entry" "$1$entry"
  elif [ -e "$entry" ]; then : > "$1$entry"; mount --bind "$entry" "$1$entry"
  fi
done
exec chroot "$1" /bin/sh -c "$2" sh "$@"`

/** $3: the folder to run in; $4: number of mounts; three arguments each; then the command. */
const MOUNT_AND_RUN = `set -e
folder=$3; count=$4; layer=0; shift 4
while [ "$count" -gt 0 ]; do
  if [ ! -e "$2" ]; then
    at=$2; while [ ! -e "$at" ]; do at=$(dirname "$at"); done
    if [ "$at" != / ]; then
      layer=$((layer + 1)); mkdir -p "/.wherry/$layer/upper" "/.wherry/$layer/work"
      mount -t overlay -o "lowerdir=$at,upperdir=/.wherry/$layer/upper,workdir=/.wherry/$layer/work" overlay "$at"
    fi
    if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "$(dirname "$2")"; : > "$2"; fi
  fi
  mount --bind "$1" "$2"
  if [ "$3" = ro ]; then mount -o remount,bind,ro "$2"; fi
  count=$((count - 1)); shift 3
done
cd "$folder"
echo ready >&3; exec 3>&-
PATH=$own_path; export PATH; unset own_path
exec "$@"`

/**
 * The command that runs `argv` with its mounts. It says `ready` on file descriptor 3 when they are
 * in place; the process keeps its pid through all of it.
 */
export function withMounts(
  support: 'root' | 'user',
  root: string,
  folder: string,
  mounts: readonly Mount[],
  argv: readonly string[],
): string[] {
  const triples = mounts.flatMap(({ source, target, readOnly }) => [
    source,
    target,
    readOnly ? 'ro' : 'rw',
  ])
  return [
    PROGRAM,
    ...UNSHARE[support],
    '/bin/sh',
    '-c',
    MAKE_ROOT,
    'sh',
    root,
    MOUNT_AND_RUN,
    folder,
    String(mounts.length),
    ...triples,
    ...argv,
  ]
}

/** The command that runs `argv` in the namespaces of a process. */
export function inNamespacesOf(
  support: 'root' | 'user',
  pid: number,
  argv: readonly string[],
): string[] {
  const user = support === 'user' ? ['--user', '--preserve-credentials'] : []
  return ['nsenter', '--target', String(pid), ...user, '--mount', '--root', '--wd', ...argv]
}
