// The process runtime: a container is a child process, in a process group of its own, that runs in
// the folder of its image. It shares the machine's file system (but for its volumes, see
// mount-namespace.ts), users and network; it learns from $PORT where to listen.

import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { access, mkdir, readdir, rmdir, utimes, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { isRecord } from '../json.ts'
import { openCpuLimits } from './cpu-limit.ts'
import type { CpuLimits } from './cpu-limit.ts'
import { findImages, pickImage } from './images.ts'
import type { FolderImage } from './images.ts'
import { commandOf, environment, exitCodeOf, launch, mounted, runExec, spawned } from './launch.ts'
import { createMemoryGuard } from './memory-guard.ts'
import type { MemoryGuard } from './memory-guard.ts'
import { findMountSupport, inNamespacesOf, withMounts } from './mount-namespace.ts'
import type { MountSupport } from './mount-namespace.ts'
import {
  cpuOf,
  markedProcesses,
  memoryOf,
  processTree,
  signal,
  startMarkOf,
} from './process-tree.ts'
import { StartRefused } from './runtime.ts'
import type { Attachment, ContainerToStart, Exec, Image, Runtime, Usage } from './runtime.ts'
import { createTap } from './tap.ts'
import type { Tap } from './tap.ts'

export interface ProcessRuntimeOptions {
  /** Folders that hold images. */
  images: readonly string[]
  stateDir: string
}

interface Running {
  container: ContainerToStart
  child: ChildProcess
  pid: number
  folder: string
  startedAt: number
  isOutOfMemory: boolean
  execs: Set<ChildProcess>
  tap: Tap
}

/** How long output may still come after the main process has ended, where /proc does not help. */
const CLOSE_MS = 1000

export function createProcessRuntime(options: ProcessRuntimeOptions): Runtime {
  return new ProcessRuntime(options)
}

class ProcessRuntime implements Runtime {
  readonly version = 'process://1.0'
  readonly isContained = false
  readonly #imageFolders: readonly string[]
  readonly #stateDir: string
  readonly #recordDir: string
  /** Tells this agent's processes from those of other agents on the machine. */
  readonly #owner: string
  readonly #mountSupport: MountSupport
  readonly #cpuLimits: CpuLimits
  readonly #memory: MemoryGuard
  readonly #running = new Map<string, Running>()
  #images: FolderImage[] = []

  constructor({ images, stateDir }: ProcessRuntimeOptions) {
    this.#imageFolders = images
    this.#stateDir = resolve(stateDir)
    this.#recordDir = join(this.#stateDir, 'processes')
    this.#owner = createHash('sha256').update(this.#stateDir).digest('hex').slice(0, 12)
    mkdirSync(this.#recordDir, { recursive: true })
    this.#mountSupport = findMountSupport()
    this.#cpuLimits = openCpuLimits(this.#owner)
    this.#memory = createMemoryGuard((id) => {
      const found = this.#running.get(id)
      if (!found) return
      found.isOutOfMemory = true
      this.#killAll(found)
    })
  }

  notEnforced({ limits }: Pick<ContainerToStart, 'limits'>): string[] {
    const gaps: string[] = []
    if (limits.cpuMillis && !this.#cpuLimits.isAvailable) gaps.push('cpu limit')
    if (limits.memoryBytes && process.platform !== 'linux') gaps.push('memory limit')
    return gaps
  }

  async findImage(reference: string): Promise<Image | undefined> {
    const known = pickImage(this.#images, reference)
    const isThere =
      known &&
      (await access(join(known.folder, 'image.json')).then(
        () => true,
        () => false,
      ))
    return isThere ? known : pickImage(await this.#refresh(), reference)
  }

  async pullImage(reference: string): Promise<Image> {
    const found = pickImage(await this.#refresh(), reference)
    if (found) return found
    const where = this.#imageFolders.join(', ') || 'no folder was given'
    throw new Error(
      `failed to resolve image "${reference}": no folder with an image.json of that name (looked in: ${where})`,
    )
  }

  listImages(): Promise<Image[]> {
    return this.#refresh()
  }

  /** Processes share what the machine has. */
  startPod(): Promise<{ pid?: number }> {
    return Promise.resolve({})
  }

  async removePod(): Promise<void> {}

  async keepOnly(): Promise<void> {}

  async start(container: ContainerToStart): Promise<string> {
    const image = pickImage(this.#images, container.image.reference)
    if (!image) throw new StartRefused('CreateContainerError', 'its image has gone')
    const folder = resolve(image.folder, container.workdir ?? image.workdir ?? '')
    const child = await this.#launch(container, image, folder)
    const found: Running = {
      container,
      child,
      pid: child.pid ?? 0,
      folder,
      startedAt: Date.now(),
      isOutOfMemory: false,
      execs: new Set(),
      tap: createTap({ keepsEarly: container.stdinOnce }),
    }
    const { cpuMillis, memoryBytes } = container.limits
    if (cpuMillis) this.#limitCpu(found, cpuMillis)
    this.#running.set(container.id, found)
    this.#watch(found)
    if (memoryBytes) this.#memory.guard(container.id, found.pid, memoryBytes)
    return `process://${container.id}`
  }

  terminate(id: string): void {
    const found = this.#running.get(id)
    if (found) signal(found.pid, 'SIGTERM')
  }

  kill(id: string): void {
    const found = this.#running.get(id)
    if (found) this.#killAll(found)
  }

  exec(id: string, argv: readonly string[]): Exec {
    const found = this.#running.get(id)
    if (!found) throw new Error(`container ${id} is not running`)
    const { container, pid, folder, execs } = found
    const env = environment(container, container.image, this.#markOf(id))
    const command = commandOf(argv)
    const { child, exec } =
      this.#mountSupport && container.mounts.length > 0
        ? runExec(inNamespacesOf(this.#mountSupport, pid, command), '/', env)
        : runExec(command, folder, env)
    execs.add(child)
    void exec.ended.then(() => execs.delete(child))
    return exec
  }

  attach(id: string): Attachment | undefined {
    const found = this.#running.get(id)
    if (!found) return undefined
    const stdin = found.child.stdin ?? undefined
    return { ...found.tap.attach(), stdin, resize: () => undefined }
  }

  /** Its containers share the machine's files. */
  async writtenBytes(): Promise<undefined> {
    return undefined
  }

  onProblem(): void {}

  async usage(id: string): Promise<Usage | undefined> {
    const found = this.#running.get(id)
    if (!found) return undefined
    const pids = processTree(found.pid)
    return {
      memoryBytes: pids.reduce((sum, pid) => sum + memoryOf(pid), 0),
      cpuNanos: pids.reduce((sum, pid) => sum + cpuOf(pid), 0),
    }
  }

  /** Nobody reads what they print any more: they end. */
  async takeOver(): Promise<[]> {
    for (const name of readdirSync(this.#recordDir)) {
      const record = parseRecord(readFileSync(join(this.#recordDir, name), 'utf8'))
      const isSame = record && record.began !== '' && startMarkOf(record.pid) === record.began
      if (record && isSame) signal(-record.pid, 'SIGKILL')
      rmSync(join(this.#recordDir, name))
    }
    for (const pid of markedProcesses(`${this.#owner}.`)) signal(pid, 'SIGKILL')
    const roots = join(this.#stateDir, 'roots')
    for (const name of await readdir(roots).catch(() => [])) await removeEmpty(join(roots, name))
    return []
  }

  adopt(): Promise<void> {
    return Promise.reject(new Error('a process outlives no agent'))
  }

  cutPower(): void {
    for (const { pid, execs } of this.#running.values()) {
      signal(-pid, 'SIGKILL')
      for (const exec of execs) if (exec.pid) signal(-exec.pid, 'SIGKILL')
    }
    for (const pid of markedProcesses(`${this.#owner}.`)) signal(pid, 'SIGKILL')
  }

  async ping(): Promise<void> {
    const file = join(this.#stateDir, 'ping')
    const now = Date.now() / 1000
    await utimes(file, now, now).catch(() => writeFile(file, ''))
  }

  close(): void {}

  #markOf(id: string): string {
    return `${this.#owner}.${id}`
  }

  async #refresh(): Promise<FolderImage[]> {
    this.#images = await findImages(this.#imageFolders)
    return this.#images
  }

  /** The main process, once it runs with its mounts in place. */
  async #launch(container: ContainerToStart, image: Image, folder: string): Promise<ChildProcess> {
    const { id, mounts, hasStdin } = container
    const env = environment(container, image, this.#markOf(id))
    const argv = commandOf(container.argv)
    const program = container.argv[0] ?? ''
    if (mounts.length === 0) {
      const child = launch(argv, folder, env, { hasStdin, hasReadyPipe: false })
      this.#record(id, await spawned(child, program))
      return child
    }
    if (!this.#mountSupport) {
      throw new StartRefused(
        'CreateContainerConfigError',
        'volumes need a mount namespace, which this machine does not allow (process runtime)',
      )
    }
    const root = join(this.#stateDir, 'roots', id)
    await mkdir(root, { recursive: true })
    const line = withMounts(this.#mountSupport, root, folder, mounts, argv)
    const child = launch(line, '/', env, { hasStdin, hasReadyPipe: true })
    this.#record(id, await spawned(child, program))
    try {
      await mounted(child)
    } catch (error) {
      rmSync(join(this.#recordDir, id), { force: true })
      throw error
    } finally {
      await removeEmpty(root)
    }
    return child
  }

  /** What takeOver needs should this agent die. */
  #record(id: string, pid: number): void {
    writeFileSync(join(this.#recordDir, id), JSON.stringify({ pid, began: startMarkOf(pid) }))
  }

  #limitCpu(found: Running, cpuMillis: number): void {
    try {
      this.#cpuLimits.apply(found.container.id, found.pid, cpuMillis)
    } catch (error) {
      this.#killAll(found)
      rmSync(join(this.#recordDir, found.container.id), { force: true })
      const why = `cannot set its CPU limit: ${String(error)}`
      throw new StartRefused('CreateContainerError', why, { cause: error })
    }
  }

  #watch(found: Running): void {
    const { child, container } = found
    let held = 0
    for (const name of ['stdout', 'stderr'] as const) {
      const output = child[name]
      output?.on('data', (chunk: Buffer) => {
        container.onOutput(name, chunk)
        const wait = found.tap.append(name, chunk)
        if (!wait) return
        held++
        output.pause()
        void wait.finally(() => {
          held--
          output.resume()
        })
      })
      output?.resume()
    }
    let hasSettled = false
    const onExit = (code: number | null, name: NodeJS.Signals | null): void => {
      // The main process was the container: what it started ends with it.
      this.#killAll(found)
      const done = (): void => {
        if (hasSettled) return
        hasSettled = true
        clearTimeout(timer)
        this.#settle(found, exitCodeOf(code, name))
      }
      const late = (): void => {
        if (held === 0) done()
        else timer = setTimeout(late, CLOSE_MS)
      }
      let timer = setTimeout(late, CLOSE_MS)
      child.once('close', done)
    }
    if (child.exitCode === null && child.signalCode === null) child.once('exit', onExit)
    else onExit(child.exitCode, child.signalCode)
  }

  #settle(found: Running, exitCode: number): void {
    const { container, startedAt, isOutOfMemory } = found
    this.#running.delete(container.id)
    this.#memory.forget(container.id)
    this.#cpuLimits.release(container.id)
    rmSync(join(this.#recordDir, container.id), { force: true })
    found.tap.end()
    container.onExit({
      exitCode,
      reason: isOutOfMemory ? 'OOMKilled' : exitCode === 0 ? 'Completed' : 'Error',
      startedAt,
      finishedAt: Date.now(),
      containerID: `process://${container.id}`,
    })
  }

  #killAll({ pid, container, execs }: Running): void {
    signal(-pid, 'SIGKILL')
    for (const exec of execs) if (exec.pid) signal(-exec.pid, 'SIGKILL')
    for (const stray of markedProcesses(this.#markOf(container.id))) signal(stray, 'SIGKILL')
  }
}

/** Never recursive: a root that is still mounted leads to the machine's own files. */
async function removeEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch(() => undefined)
}

function parseRecord(text: string): { pid: number; began: string } | undefined {
  try {
    const json: unknown = JSON.parse(text)
    if (!isRecord(json) || typeof json['pid'] !== 'number') return undefined
    return { pid: json['pid'], began: typeof json['began'] === 'string' ? json['began'] : '' }
  } catch {
    return undefined
  }
}
