// Makes container images of folders with an image.json, as `docker build` would from the Dockerfile
// beside it, and pushes those that the registry does not have yet.

import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { baseLayer } from './base-layer.ts'
import { entriesOf, writeLayer, type Layer } from './layer.ts'
import { packagesOf } from './packages.ts'
import { MANIFEST_TYPE, type Registry } from './registry-client.ts'

export interface PublishOptions {
  /** Searched for folders with an image.json. */
  folders: readonly string[]
  /** Keeps layers between starts. */
  cache: string
  registry: Registry
}

/** What stands in an image.json. */
interface ImageDescription {
  name: string
  tags?: string[]
  entrypoint?: string[]
  cmd?: string[]
  env?: Record<string, string>
  workdir?: string
  ports?: number[]
  /** npm packages that it needs; they are in this machine's node_modules. */
  packages?: string[]
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar'
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json'
const PATH = 'PATH=/usr/local/bin:/usr/bin:/bin'
const WORKDIR = '/app'
/** The user `node` of the base layer. */
const USER = '1000:1000'
const DEPTH_MAX = 3

/** Answers the names that are in the registry now: `dlops/tic-tac-toe:latest`. */
export async function publishImages(options: PublishOptions): Promise<string[]> {
  const folders = options.folders.flatMap((folder) => search(folder, DEPTH_MAX))
  if (folders.length === 0) return []
  const base = await baseLayer(options.cache)
  const published: string[] = []
  for (const folder of folders) {
    published.push(...(await publishImage(folder, { base, from: published[0] }, options)))
  }
  return published
}

async function publishImage(
  folder: string,
  { base, from }: { base: Layer; from: string | undefined },
  { cache, registry }: PublishOptions,
): Promise<string[]> {
  const description: ImageDescription = JSON.parse(readFileSync(join(folder, 'image.json'), 'utf8'))
  const { name, tags = ['latest'] } = description
  const target = (description.workdir ?? WORKDIR).slice(1)
  const skip = ['image.json', 'Dockerfile', 'node_modules']
  const own = await writeLayer(join(cache, `${name.replaceAll('/', '-')}.tar`), [
    { path: target, kind: 'folder' },
    ...entriesOf(folder, target, skip),
    ...packagesOf(folder, description.packages ?? [], target),
  ])
  const config = Buffer.from(JSON.stringify(configOf(description, [base, own])))
  const layers = [base, own].map(({ digest, size }) => ({ mediaType: LAYER_TYPE, digest, size }))
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: { mediaType: CONFIG_TYPE, digest: digestOf(config), size: config.length },
      layers,
    }),
  )
  for (const tag of tags) {
    if (await registry.has(name, tag, digestOf(manifest))) continue
    await registry.putBlob(name, base.digest, base, from?.replace(/:.*$/, ''))
    await registry.putBlob(name, own.digest, own)
    await registry.putBlob(name, digestOf(config), config)
    await registry.putManifest(name, tag, manifest)
  }
  return tags.map((tag) => `${name}:${tag}`)
}

function configOf(description: ImageDescription, layers: readonly Layer[]): object {
  const { entrypoint = [], cmd = [], env = {}, workdir = WORKDIR, ports = [] } = description
  return {
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    os: 'linux',
    created: '1970-01-01T00:00:00Z',
    config: {
      User: USER,
      Env: [PATH, ...Object.entries(env).map(([key, value]) => `${key}=${value}`)],
      ...(entrypoint.length > 0 ? { Entrypoint: entrypoint } : {}),
      ...(cmd.length > 0 ? { Cmd: cmd } : {}),
      WorkingDir: workdir,
      ExposedPorts: Object.fromEntries(ports.map((port) => [`${port}/tcp`, {}])),
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    history: layers.map(() => ({ created: '1970-01-01T00:00:00Z', created_by: 'wherry' })),
  }
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`
}

function search(folder: string, depth: number): string[] {
  if (existsSync(join(folder, 'image.json'))) return [folder]
  if (depth === 0 || !existsSync(folder)) return []
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !/^(node_modules|\..*)$/.test(entry.name))
    .flatMap(({ name }) => search(join(folder, name), depth - 1))
    .sort()
}
