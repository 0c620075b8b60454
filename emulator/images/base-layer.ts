// What the examples' images stand on: this machine's Node and the libraries it needs, busybox for a
// shell and its tools, certificates. No image has to be fetched for it.

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { createHash } from 'node:crypto'
import { writeLayer, type Entry, type Layer } from './layer.ts'

const PASSWD = 'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n'
const GROUP = 'root:x:0:\nnode:x:1000:\n'
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'

/** Written once into `cache`, and again when this machine's Node is another one. */
export async function baseLayer(cache: string): Promise<Layer> {
  const node = realpathSync(process.execPath)
  const busybox = findBusybox()
  const sources = [node, ...(busybox ? [busybox] : []), CERTIFICATES].filter(existsSync)
  const key = createHash('sha256').update('2')
  for (const source of sources) {
    const { size, mtimeMs } = statSync(source)
    key.update(`${source}\0${size}\0${mtimeMs}\0`)
  }
  const file = join(cache, `base-${key.digest('hex').slice(0, 16)}.tar`)
  const known = readKnown(file)
  if (known) return known
  const layer = await writeLayer(file, [
    ...FOLDERS,
    { path: 'etc/passwd', kind: 'text', text: PASSWD },
    { path: 'etc/group', kind: 'text', text: GROUP },
    { path: 'usr/local/bin/node', kind: 'file', source: node, mode: 0o755 },
    ...librariesOf(node),
    ...(busybox ? toolsOf(busybox) : []),
    ...(existsSync(CERTIFICATES)
      ? [{ path: CERTIFICATES.slice(1), kind: 'file' as const, source: CERTIFICATES, mode: 0o644 }]
      : []),
  ])
  writeFileSync(`${file}.json`, JSON.stringify({ digest: layer.digest, size: layer.size }))
  return layer
}

const FOLDERS: readonly Entry[] = [
  ...[
    'bin',
    'etc',
    'home',
    'home/node',
    'root',
    'usr',
    'usr/bin',
    'usr/local',
    'usr/local/bin',
    'var',
  ].map((path) => ({ path, kind: 'folder' as const })),
  { path: 'tmp', kind: 'folder', mode: 0o1777 },
]

function readKnown(file: string): Layer | undefined {
  if (!existsSync(file) || !existsSync(`${file}.json`)) return undefined
  const { digest, size }: { digest: string; size: number } = JSON.parse(
    readFileSync(`${file}.json`, 'utf8'),
  )
  return statSync(file).size === size ? { file, digest, size } : undefined
}

/** The loader and the libraries, where the program looks for them. */
export function librariesOf(program: string): Entry[] {
  const said = execFileSync('ldd', [program], { encoding: 'utf8' })
  const paths = new Set([...said.matchAll(/(\/\S+)/g)].map(([, path]) => path ?? ''))
  return [...paths]
    .filter((path) => path.includes('.so'))
    .map((path) => ({
      path: path.slice(1),
      kind: 'file',
      source: realpathSync(path),
      mode: 0o755,
    }))
}

/** What people ask a container for, and busybox may not have. */
const MORE_TOOLS = ['/usr/bin/printenv']

function findBusybox(): string | undefined {
  return ['/bin/busybox', '/usr/bin/busybox'].find(existsSync)
}

function toolsOf(busybox: string): Entry[] {
  const names = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).split('\n').filter(Boolean)
  return [
    { path: 'bin/busybox', kind: 'file', source: realpathSync(busybox), mode: 0o755 },
    ...MORE_TOOLS.filter((path) => existsSync(path) && !names.includes(basename(path))).flatMap(
      (path): Entry[] => [
        { path: path.slice(1), kind: 'file', source: realpathSync(path), mode: 0o755 },
      ],
    ),
    ...names
      .filter((name) => name !== basename(busybox))
      .map((name): Entry => ({ path: `bin/${name}`, kind: 'link', to: 'busybox' })),
  ]
}
