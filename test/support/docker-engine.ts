// A real Docker Engine for tests, alone in process and mount namespaces of its own, with its own folders
// and control groups: ending its first process ends it and all of its containers, and nothing is left.
// It shares the machine's network and touches none of it (no bridge, no rules).

import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import Docker from 'dockerode'
import { pack } from 'tar-stream'

const PROGRAMS = [
  'dockerd',
  'containerd',
  'runc',
  'busybox',
  'unshare',
  'nsenter',
  'docker-registry',
]
const CGROUPS = '/sys/fs/cgroup'
const STARTS_MS = 30_000

/** The image that busyBox() loads. */
export const BOX = 'test/box:1'

export interface TestEngine {
  docker: Docker
  socketPath: string
  /** What starts a program where the engine runs. */
  enter: readonly string[]
  /** After its death, or a power cut. */
  start(): Promise<void>
  /** The engine's process dies at once; containers stay until it comes back. */
  kill(): Promise<void>
  /** The power is cut: everything dies at once; what is on the disk stays. */
  cutPower(): Promise<void>
  close(): Promise<void>
}

/** Why there can be no engine here; undefined: there can. In CI a reason is an error. */
export function whyNoEngine(): string | undefined {
  const missing = PROGRAMS.filter((name) => !isInstalled(name))
  const reasons = [
    ...(process.platform === 'linux' ? [] : ['not Linux']),
    ...(process.getuid?.() === 0 ? [] : ['not root']),
    ...(missing.length > 0 ? [`not installed: ${missing.join(', ')}`] : []),
  ]
  if (reasons.length === 0) return undefined
  const why = reasons.join('; ')
  if (process.env['CI']) throw new Error(`no Docker Engine for the tests: ${why}`)
  return why
}

/** Starts one and loads the image. */
export async function startTestEngine(): Promise<TestEngine> {
  const home = mkdtempSync(join(tmpdir(), 'wde-'))
  const name = `wherry-test-${home.slice(-6)}`
  const socketPath = join(home, 's')
  const docker = new Docker({ socketPath })
  let init = await startInit(home)
  let daemon: ChildProcess | undefined
  const engine: TestEngine = {
    docker,
    socketPath,
    get enter() {
      return ['nsenter', `--target=${init.pid}`, '--mount', '--pid']
    },
    async start() {
      if (init.child.exitCode !== null || init.child.signalCode !== null) {
        init = await startInit(home)
        // What ran before a power cut is not there any more.
        rmSync(join(home, 'exec'), { recursive: true, force: true })
      }
      daemon = startDaemon(engine.enter, home, name)
      await answers(docker, home)
    },
    async kill() {
      const pid = childOf(daemon?.pid)
      if (pid > 1) process.kill(pid, 'SIGKILL')
      if (daemon && daemon.exitCode === null) await once(daemon, 'exit')
    },
    async cutPower() {
      const ended = once(init.child, 'exit')
      process.kill(init.pid, 'SIGKILL')
      await ended
    },
    async close() {
      if (init.child.exitCode === null && init.child.signalCode === null) await engine.cutPower()
      removeGroups(name)
      rmSync(home, { recursive: true, force: true })
    },
  }
  try {
    await engine.start()
    await loadBox(docker)
  } catch (error) {
    await engine.close()
    throw error
  }
  return engine
}

/** The only child of a process, which is how nsenter and unshare run what they are given. */
export function childOf(pid: number | undefined): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0])
  } catch {
    return 0
  }
}

/** The first process of the namespaces; it waits, and reaps. */
async function startInit(home: string): Promise<{ child: ChildProcess; pid: number }> {
  const out = openSync(join(home, 'init.log'), 'a')
  const options = '--mount --pid --fork --kill-child=KILL --mount-proc'
  const wait = 'echo ready; while :; do sleep 1000 & wait; done'
  // It goes with whoever runs the tests, however they end.
  const dying = wordsOf('--pdeathsig KILL unshare')
  const child = spawn('setpriv', [...dying, ...wordsOf(options), 'sh', '-c', wait], {
    stdio: ['ignore', 'pipe', out],
  })
  await once(child.stdout ?? child, 'data')
  return { child, pid: childOf(child.pid) }
}

function startDaemon(enter: readonly string[], home: string, name: string): ChildProcess {
  const [program = '', ...rest] = enter
  for (const stale of ['pid', 's']) rmSync(join(home, stale), { force: true })
  mkdirSync(join(home, 'exec'), { recursive: true })
  const log = openSync(join(home, 'dockerd.log'), 'a')
  // The machine's own settings do not count.
  const settings = join(home, 'daemon.json')
  writeFileSync(settings, '{}')
  const options = `
    --config-file ${settings} --host unix://${join(home, 's')}
    --data-root ${join(home, 'data')} --exec-root ${join(home, 'exec')}
    --pidfile ${join(home, 'pid')} --cgroup-parent /${name}
    --exec-opt native.cgroupdriver=cgroupfs --storage-driver overlay2
    --bridge none --iptables=false --ip6tables=false --ip-masq=false --userland-proxy=false
    --shutdown-timeout 2 --log-level warn`
  return spawn(program, [...rest, 'dockerd', ...wordsOf(options)], { stdio: ['ignore', log, log] })
}

async function answers(docker: Docker, home: string): Promise<void> {
  const until = Date.now() + STARTS_MS
  for (;;) {
    try {
      await docker.ping()
      return
    } catch (error) {
      if (Date.now() > until) {
        const log = readFileSync(join(home, 'dockerd.log'), 'utf8').slice(-2000)
        throw new Error(`dockerd did not start:\n${log}`, { cause: error })
      }
      await new Promise((resolve) => {
        setTimeout(resolve, 50)
      })
    }
  }
}

/** Busybox with a link for each of its programs, and a user that is not root. */
async function loadBox(docker: Docker): Promise<void> {
  const tar = pack()
  for (const name of ['bin', 'etc', 'tmp', 'var']) {
    tar.entry({ name, type: 'directory', mode: name === 'tmp' ? 0o1777 : 0o755 })
  }
  const busybox = readFileSync(execFileSync('which', ['busybox'], { encoding: 'utf8' }).trim())
  tar.entry({ name: 'bin/busybox', mode: 0o755 }, busybox)
  const applets = execFileSync('busybox', ['--list'], { encoding: 'utf8' }).trim().split('\n')
  for (const applet of applets.filter((each) => each !== 'busybox')) {
    tar.entry({ name: `bin/${applet}`, type: 'symlink', linkname: 'busybox' })
  }
  tar.entry({ name: 'etc/passwd' }, 'root:x:0:0::/:/bin/sh\napp:x:1000:1000::/tmp:/bin/sh\n')
  tar.entry({ name: 'etc/group' }, 'root:x:0:\napp:x:1000:\n')
  tar.finalize()
  const [repo, tag] = BOX.split(':')
  const changes = ['ENV PATH=/bin', 'CMD ["sleep","1000000"]']
  const archive = Readable.from([await buffer(tar)])
  const answer: NodeJS.ReadableStream = await docker.importImage(archive, { repo, tag, changes })
  await text(answer)
}

/** Control groups of containers are left when their engine is killed. */
function removeGroups(name: string): void {
  if (!existsSync(CGROUPS)) return
  const roots = readdirSync(CGROUPS).map((each) => join(CGROUPS, each, name))
  for (const root of [...roots, join(CGROUPS, name)]) removeGroup(root)
}

function removeGroup(folder: string): void {
  if (!existsSync(folder)) return
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroup(join(folder, entry.name))
  }
  try {
    rmdirSync(folder)
  } catch {
    // A process of it is just ending; an empty group does no harm.
  }
}

function isInstalled(name: string): boolean {
  try {
    execFileSync('which', [name], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

function wordsOf(text: string): string[] {
  return text.trim().split(/\s+/)
}
