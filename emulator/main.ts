// `npm start`: the whole of Wherry on this machine, with the lecture's cluster and example. The only
// file of the emulator that reads the environment and owns the process.

import { rmSync, writeFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import type { Cluster } from '#shared/api/cluster.ts'
import { contextName } from './control-plane.ts'
import { deployExample, firstCluster, untilNodesReady } from './first-cluster.ts'
import { newElsewhere } from './elsewhere.ts'
import { writeGcloudConfig } from './gcloud-config.ts'
import { HomeBusyError, openHome, type Home } from './home.ts'
import { writeKubeconfig } from './kubeconfig.ts'
import { PROJECT, startLocal, ZONE, type Local } from './local.ts'
import { parseStartOptions, USAGE, type StartOptions } from './start-options.ts'
import { createTerminal, type Terminal } from './terminal.ts'

const ROOT = resolve(import.meta.dirname, '..')
const LOOK_MS = 500
// Google's clients look for a metadata server at every start where nobody tells them not to.
process.env['METADATA_SERVER_DETECTION'] ??= 'none'

const terminal = createTerminal({
  output: process.stdout,
  now: Date.now,
  useColor: process.stdout.isTTY && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb',
})

process.exitCode = await main()

async function main(): Promise<number> {
  let options: StartOptions
  try {
    options = parseStartOptions(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n\n${USAGE}`)
    return 2
  }
  if (options.help) {
    terminal.say(USAGE)
    return 0
  }
  let home: Home
  try {
    home = openHome(resolve(process.env['WHERRY_HOME'] ?? join(ROOT, '.wherry')), options)
  } catch (error) {
    if (!(error instanceof HomeBusyError)) throw error
    process.stderr.write(`${error.message}\n`)
    return 1
  }
  rmSync(home.path('ready.json'), { force: true })
  const stopped = untilSignal()
  try {
    return await run(home, options, stopped)
  } finally {
    rmSync(home.path('ready.json'), { force: true })
    home.release()
  }
}

async function run(home: Home, options: StartOptions, stopped: Promise<string>): Promise<number> {
  let local: Local | undefined
  try {
    const starting = startLocal({ home, root: ROOT, env: process.env, terminal })
    local = await starting
    // Ctrl-C while it comes up ends it as well.
    const up = bringUp(local, home, options)
    const first = await Promise.race([up.then(() => 'up'), stopped])
    if (first === 'up') await stopped
    terminal.say('')
    return 0
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\nThe log is ${shown(home.path('wherry.log'))}.\n`)
    return 1
  } finally {
    if (local) await terminal.step('stopping', () => local?.stop() ?? Promise.resolve())
  }
}

async function bringUp(local: Local, home: Home, options: StartOptions): Promise<void> {
  const activate = writeGcloudConfig({
    dir: home.path('gcloud'),
    project: PROJECT,
    zone: ZONE,
    endpoint: local.cloud.url,
    token: local.adminToken,
  })
  let cluster: Cluster | undefined
  let app: string | undefined
  if (!options.empty) {
    cluster = await terminal.step('cluster test-cluster', async () =>
      firstCluster(local, options.nodes),
    )
    const present = cluster
    await terminal.step('nodes', (note) => untilNodesReady(local, present, options.nodes, note))
    if (options.nodes > 0) {
      app = await terminal.step('examples/tic-tac-toe', (note) =>
        deployExample(local, { cluster: present, root: ROOT, note }),
      )
    }
  }
  const kubeconfig = home.path('kubeconfig')
  if (cluster) writeClusterKubeconfig(local, cluster, kubeconfig)
  writeReady(local, home, { cluster, app, kubeconfig })
  sayWhere(terminal, { local, home, cluster, app, kubeconfig, activate })
  announceElsewhere(terminal, local)
}

/** `kubectl get services` shows an address; where that is not it, this window says what is. */
function announceElsewhere(out: Terminal, local: Local): void {
  const known = new Set<string>()
  const look = (): void => {
    const lines = newElsewhere(local.cloud.compute.listeners(), known)
    for (const line of lines) out.say(`  EXTERNAL-IP ${line}`)
  }
  look()
  setInterval(look, LOOK_MS).unref()
}

function writeClusterKubeconfig(local: Local, cluster: Cluster, path: string): void {
  writeKubeconfig(path, [
    {
      name: contextName(cluster),
      server: local.endpoints.urlOf(cluster.metadata.name) ?? '',
      ca: local.authority.certificatePem,
      token: local.adminToken,
    },
  ])
}

interface Up {
  cluster: Cluster | undefined
  app: string | undefined
  kubeconfig: string
}

/** For programs: tests and scripts wait for this file. */
function writeReady(local: Local, home: Home, { cluster, app, kubeconfig }: Up): void {
  const { firestore, pubsub } = local.backend
  const ready = {
    ...(app ? { app } : {}),
    api: cluster ? local.endpoints.urlOf(cluster.metadata.name) : '',
    cluster: cluster?.metadata.name ?? '',
    kubeconfig,
    gcloud: local.cloud.url,
    project: PROJECT,
    firestore: firestore && { host: firestore.host, pid: firestore.pid },
    pubsub: pubsub && { host: pubsub.host, pid: pubsub.pid },
    machines: local.cloud.host.kind,
  }
  writeFileSync(home.path('ready.json'), JSON.stringify(ready))
}

function sayWhere(
  out: Terminal,
  {
    local,
    home,
    cluster,
    app,
    kubeconfig,
    activate,
  }: Up & { local: Local; home: Home; activate: string },
): void {
  const lines = ['']
  if (app) lines.push(`  The app    ${app}`)
  if (cluster) lines.push(`  The API    ${local.endpoints.urlOf(cluster.metadata.name)}`)
  if (cluster) lines.push(`  kubeconfig ${shown(kubeconfig)}`)
  lines.push(
    `  Logs       ${shown(home.path('wherry.log'))}, ${shown(home.path('vms'))}/*/agent.log`,
  )
  lines.push(
    `  Runs on    ${local.backend.summary}`,
    `             ${local.cloud.machines.summary}`,
  )
  const { missing: better } = local.cloud.machines
  for (const missing of [...local.backend.missing, ...(better ? [better] : [])])
    lines.push(`  Missing    ${missing}`)
  lines.push('', '  Try next:')
  if (cluster) {
    lines.push(`    export KUBECONFIG=${shown(kubeconfig)}`)
    lines.push(
      '    kubectl get nodes,pods,services',
      '    kubectl scale deployment web --replicas=4',
      '    kubectl delete pod -l run=web   # and watch the page',
      '    npm run fault -- --help         # kill, hang, stop VMs and see',
    )
  }
  lines.push(
    '',
    '  With real gcloud:',
    `    ${activate}`,
    '    gcloud container clusters list',
    '',
    '  Ctrl-C stops everything.',
  )
  out.say(lines.join('\n'))
}

/** The first SIGINT or SIGTERM; a second one ends the process at once. */
function untilSignal(): Promise<string> {
  return new Promise((done) => {
    let seen = 0
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        seen++
        if (seen > 1) process.exit(130)
        done(signal)
      })
    }
  })
}

function shown(path: string): string {
  const short = relative(process.cwd(), path)
  return short.startsWith('..') ? path : short
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
