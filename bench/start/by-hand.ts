// The same containers without a cluster: `docker run` on the engines of the same VMs, or plain processes
// where containers are processes. All at once, as somebody with a shell would.

import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '#agent/network/free-port.ts'
import type { LocalVm } from '../support/local-vms.ts'
import { startProber, type Prober } from './prober.ts'

export interface ByHand {
  /** As in the names of measurements. */
  readonly name: 'docker-run' | 'spawn'
  /** Starts so many; answers the seconds until all of them had answered. */
  start(count: number): Promise<number>
  /** Until none of them is left. */
  clear(): Promise<void>
  close(): Promise<void>
}

const run = promisify(execFile)
const NAME = 'start-bench'
const IMAGE = 'dlops/tic-tac-toe'
const PORT = 8080
/** One network on each engine; nobody else's on such a VM. */
const SUBNET = '172.29.0.0/24'
const FOLDER = join(import.meta.dirname, '..', '..', 'examples', 'tic-tac-toe', 'image')

interface Engine {
  docker: (...args: string[]) => Promise<string>
  prober: Prober
}

/** `docker run` on these VMs in turns, each container with an address of its own on a bridge. */
export async function dockerRun(vms: readonly LocalVm[]): Promise<ByHand> {
  const engines = vms.map(({ engine, enterNetwork }): Engine => {
    const docker = async (...args: string[]): Promise<string> =>
      (await run('docker', ['--host', engine, ...args])).stdout
    return { docker, prober: startProber(enterNetwork) }
  })
  for (const { docker } of engines) await docker('network', 'create', '--subnet', SUBNET, NAME)
  let started: { engine: Engine; id: string }[] = []
  const clear = async (): Promise<void> => {
    await Promise.all(started.map(({ engine, id }) => engine.docker('rm', '--force', id)))
    started = []
  }
  return {
    name: 'docker-run',
    async start(count) {
      const since = Date.now()
      const answered = await Promise.all(
        Array.from({ length: count }, async (_, index) => {
          const engine = engines[index % engines.length]
          if (!engine) throw new Error('no VM runs')
          const ip = SUBNET.replace(/0\/24$/, String(10 + index))
          const options = ['--detach', '--network', NAME, '--ip', ip]
          const id = await engine.docker('run', ...options, IMAGE)
          started.push({ engine, id: id.trim() })
          return engine.prober.whenAllAnswer([`http://${ip}:${PORT}/healthz`])
        }),
      )
      return (Math.max(...answered) - since) / 1000
    },
    clear,
    async close() {
      await clear()
      for (const { docker, prober } of engines) {
        await docker('network', 'rm', NAME)
        prober.close()
      }
    },
  }
}

/** The image's program as plain children of this process, each with a port of its own. */
export function plainSpawn(): ByHand {
  const prober = startProber()
  let started: ChildProcess[] = []
  const clear = async (): Promise<void> => {
    await Promise.all(
      started.map((child) => {
        const ended = new Promise((done) => child.once('exit', done))
        child.kill('SIGKILL')
        return ended
      }),
    )
    started = []
  }
  return {
    name: 'spawn',
    async start(count) {
      const ports = new Set<number>()
      while (ports.size < count) ports.add(await freePort(ports))
      const since = Date.now()
      for (const port of ports) {
        const env = { ...process.env, HOST: '127.0.0.1', PORT: String(port) }
        const options = { cwd: FOLDER, env, stdio: 'ignore' } as const
        started.push(spawn(process.execPath, ['server.js'], options))
      }
      const urls = [...ports].map((port) => `http://127.0.0.1:${port}/healthz`)
      return ((await prober.whenAllAnswer(urls)) - since) / 1000
    },
    clear,
    async close() {
      await clear()
      prober.close()
    },
  }
}
