// `npm run build`: makes dist/functions/<name>, one folder a function, as it is deployed: one file with
// our code and the small libraries, a package.json that names Google's clients with exact versions,
// and the part of package-lock.json that fixes what those bring along.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build, type Metafile, type Plugin } from 'esbuild'
import { FUNCTIONS, type FunctionName } from '#functions/environment.ts'
import { lockFor, versionIn, type Lockfile } from './lockfile.ts'

export interface Bundle {
  name: FunctionName
  dir: string
  /** Of index.js. */
  bytes: number
  /** Packages that are installed beside it, with their versions. */
  packages: Record<string, string>
  /** What makes it heavy: bytes of each package or folder of ours inside, the largest first. */
  contents: { what: string; bytes: number }[]
}

export const ROOT = join(import.meta.dirname, '..')
export const DIST = join(ROOT, 'dist', 'functions')
export const NODE_VERSION = '24'

/** They load files of their own by path: they cannot be put into one file. */
const EXTERNAL = /^(@google-cloud\/|@grpc\/|google-)/

/** What runs a function on Google Cloud; named, so that its version is ours to choose. */
const FRAMEWORK = '@google-cloud/functions-framework'

/** What a function does when it is loaded; the others do nothing. */
const ENTRIES: Partial<Record<FunctionName, string>> = {
  api: `import { upgrade } from './functions/index.ts'
    import { takeUpgrades } from './functions/upgrades.ts'
    takeUpgrades(upgrade)
    export { api } from './functions/index.ts'`,
}

/** Libraries that were made for `require`. */
const BANNER = `import { createRequire as wherryRequire } from 'node:module'; const require = wherryRequire(import.meta.url);`

/** Our modules do nothing when they are loaded: what a function does not call is left out. */
const pluginFor = (external: RegExp): Plugin => ({
  name: 'wherry',
  setup(builder) {
    builder.onResolve({ filter: external }, ({ path }) => ({
      path,
      external: true,
      sideEffects: false,
    }))
    builder.onResolve(
      { filter: /^(\.|#|@hono\/node-server$)/ },
      async ({ path, pluginData, ...options }) => {
        if (pluginData === 'resolved' || options.importer.includes('node_modules')) return undefined
        const { importer, kind, resolveDir } = options
        const found = await builder.resolve(path, {
          importer,
          kind,
          resolveDir,
          pluginData: 'resolved',
        })
        return { ...found, sideEffects: false }
      },
    )
  },
})

/** Builds one function's folder, from scratch. */
export async function bundle(name: FunctionName, dist: string = DIST): Promise<Bundle> {
  const dir = join(dist, name)
  const contents = ENTRIES[name] ?? `export { ${name} } from './functions/index.ts'`
  const made = await bundleEntry({ name, dir, contents, external: EXTERNAL, beside: [FRAMEWORK] })
  return { name, ...made }
}

export interface Entry {
  name: string
  dir: string
  /** TypeScript, as if it stood in this folder of the project. */
  contents: string
  folder?: string
  /** Packages that are not put into the file. */
  external: RegExp
  /** Packages that are installed beside it though nothing imports them. */
  beside: readonly string[]
}

/** Builds a folder from scratch: index.js, package.json and package-lock.json. */
export async function bundleEntry(entry: Entry): Promise<Omit<Bundle, 'name'>> {
  const { name, dir, contents, folder = '', external } = entry
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { recursive: true })
  const { metafile } = await build({
    stdin: {
      contents,
      resolveDir: join(ROOT, folder),
      sourcefile: `${name}-entry.ts`,
      loader: 'ts',
    },
    outfile: join(dir, 'index.js'),
    bundle: true,
    platform: 'node',
    target: `node${NODE_VERSION}`,
    format: 'esm',
    minify: true,
    keepNames: true,
    legalComments: 'none',
    banner: { js: BANNER },
    plugins: [pluginFor(external)],
    metafile: true,
    logLevel: 'silent',
    absWorkingDir: ROOT,
  })
  const [output] = Object.values(metafile.outputs)
  if (!output) throw new Error(`esbuild made nothing of ${name}`)
  const lock: Lockfile = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'))
  const packages = versionsOf(lock, output, entry)
  const manifest = {
    name: `wherry-${name}`,
    version: '0.0.0',
    private: true,
    type: 'module',
    main: 'index.js',
    engines: { node: NODE_VERSION },
    dependencies: packages,
  }
  writeJson(join(dir, 'package.json'), manifest)
  writeJson(join(dir, 'package-lock.json'), lockFor(lock, manifest))
  return { dir, bytes: output.bytes, packages, contents: contentsOf(output) }
}

function versionsOf(
  lock: Lockfile,
  output: Metafile['outputs'][string],
  { external: pattern, beside }: Entry,
): Record<string, string> {
  const names = output.imports
    .filter(({ external, path }) => external && pattern.test(path))
    .map(({ path }) => packageOf(path))
  return Object.fromEntries(
    [...new Set([...names, ...beside])].sort().map((name) => [name, versionIn(lock, name)]),
  )
}

function contentsOf(output: Metafile['outputs'][string]): Bundle['contents'] {
  const sizes = new Map<string, number>()
  for (const [path, { bytesInOutput }] of Object.entries(output.inputs)) {
    const inside = /^node_modules\/(.*)$/.exec(path)?.[1]
    const what = inside ? packageOf(inside) : path.split('/').slice(0, 2).join('/')
    sizes.set(what, (sizes.get(what) ?? 0) + bytesInOutput)
  }
  return [...sizes]
    .map(([what, bytes]) => ({ what, bytes }))
    .sort((left, right) => right.bytes - left.bytes)
}

/** `@google-cloud/compute` of `@google-cloud/compute/build/src/v1/x.js`. */
function packageOf(path: string): string {
  return path
    .split('/')
    .slice(0, path.startsWith('@') ? 2 : 1)
    .join('/')
}

export function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value, undefined, 2)}\n`)
}

if (import.meta.main) {
  for (const name of FUNCTIONS) {
    const { bytes, packages, contents } = await bundle(name)
    const heavy = contents.slice(0, 3).map((part) => `${part.what} ${kilobytes(part.bytes)}`)
    console.log(`${name.padEnd(10)}${kilobytes(bytes).padStart(8)}  (${heavy.join(', ')})`)
    console.log(`${' '.repeat(20)}installs ${Object.keys(packages).join(', ')}`)
  }
}

function kilobytes(bytes: number): string {
  return `${Math.round(bytes / 1024)} KB`
}
