// VMs of namespaces: what they are to each other and to this machine, what a power cut leaves (nothing),
// and what each fault does to whom.

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '#test/local-wherry.ts'
import { cannotHaveVms, openNetnsVms, type NetnsVms } from '#test/support/netns-vms.ts'
import type { MachineExit } from '../machines.ts'
import { joinFiles, processesOf } from './cgroups.ts'

const PORT = 10_250
const SOON_MS = 1000

describe.skipIf(await cannotHaveVms())('VMs of namespaces', () => {
  let vms: NetnsVms
  const exits: MachineExit[] = []

  beforeAll(async () => {
    vms = await openNetnsVms()
    vms.machines.onExit((exit) => exits.push(exit))
    await Promise.all([2, 3].map((n) => vms.machines.boot(vms.vm(n))))
    await Promise.all([2, 3].map((n) => untilServing(n)))
  })
  afterAll(() => vms?.close())

  const ipOf = (n: number): string => vms.vm(n).internalIp
  const group = (n: number): string => `${vms.slot.name}/vm${n}`

  async function get(n: number, path = '/', timeoutMs = 10_000): Promise<string> {
    const signal = AbortSignal.timeout(timeoutMs)
    const response = await fetch(`http://${ipOf(n)}:${PORT}${path}`, {
      signal,
      headers: { connection: 'close' },
    })
    const text = await response.text()
    if (!response.ok) throw new Error(text)
    return text
  }
  const answers = async (n: number): Promise<boolean> =>
    get(n, '/', SOON_MS).then(
      () => true,
      () => false,
    )
  /** Whether one VM gets an answer from another. */
  const reaches = async (from: number, to: number): Promise<boolean> =>
    get(from, `/ask?url=${encodeURIComponent(`http://${ipOf(to)}:${PORT}/`)}`).then(
      () => true,
      () => false,
    )
  const untilServing = (n: number): Promise<boolean> =>
    eventually(`vm-${n} serves`, () => answers(n))

  function docker(n: number, ...args: string[]): string {
    const [pid = 0] = processesOf(`${group(n)}/daemon`).filter((each) =>
      readFileSync(`/proc/${each}/cmdline`, 'utf8').startsWith('dockerd'),
    )
    const command = ['--mount', '--target', String(pid), 'docker', '--host=unix:///run/docker.sock']
    return execFileSync('nsenter', [...command, ...args], { encoding: 'utf8' })
  }

  test('each is known to its metadata server by its address, and to others by its name', async () => {
    expect(await get(2, '/metadata/instance/name')).toBe('vm-2')
    expect(await get(3, '/metadata/instance/name')).toBe('vm-3')
    expect(await get(3, '/metadata/instance/preempted')).toBe('FALSE')
    expect(await get(3, '/names/metadata.google.internal')).toBe('169.254.169.254')
    expect(await get(3, '/names/vm-2.us-east1-c.c.demo.internal')).toBe(ipOf(2))
    await expect(get(3, '/names/vm-9.us-east1-c.c.demo.internal')).rejects.toThrow('ENOTFOUND')
  })

  test('they see each other as they are; nobody can pretend to be another', async () => {
    const url = encodeURIComponent(`http://${ipOf(3)}:${PORT}/`)
    expect(JSON.parse(await get(2, `/ask?url=${url}`))).toMatchObject({
      name: 'vm-3',
      from: ipOf(2),
    })
    const inVm = ['--net=/run/netns/' + vms.slot.name + '-2']
    execFileSync('nsenter', [...inVm, 'ip', 'addr', 'add', '10.200.0.1/32', 'dev', 'lo'])
    const forged = [
      'curl',
      '-s',
      '-m',
      '1',
      '--interface',
      '10.200.0.1',
      `http://${ipOf(3)}:${PORT}/`,
    ]
    expect(() => execFileSync('nsenter', [...inVm, ...forged])).toThrow()
  })

  test('each has a Docker Engine of its own, with the room of its own disk', async () => {
    await eventually('Docker answers', async () =>
      docker(2, 'version', '--format', '{{.Server.Os}}'),
    )
    const [root = ''] = docker(
      2,
      'info',
      '--format',
      '{{.DockerRootDir}} {{.LiveRestoreEnabled}}',
    ).split('\n')
    expect(root).toBe('/run/stateful/docker true')
    const image = statSync(join(vms.dir, 'vms/vm-2/disk.img'))
    expect(image.size).toBe(10 ** 10)
    expect(image.blocks * 512).toBeLessThan(10 ** 9)
  })

  test('an agent or a Docker Engine that dies is started again, and the VM stays', async () => {
    const { pid } = JSON.parse(await get(2)) as { pid: number }
    vms.machines.faults.killAgent('vm-2')
    await eventually(
      'another agent',
      async () => (JSON.parse(await get(2)) as { pid: number }).pid !== pid,
    )
    const engine = docker(2, 'info', '--format', '{{.ID}}')
    vms.machines.faults.killDocker('vm-2')
    await eventually(
      'Docker is back',
      async () => docker(2, 'info', '--format', '{{.ID}}') === engine,
    )
    expect(exits).toEqual([])
  })

  test('one that stands still answers nobody, until it goes on', async () => {
    vms.machines.faults.freeze('vm-2')
    expect(await answers(2)).toBe(false)
    expect(await answers(3)).toBe(true)
    vms.machines.faults.thaw('vm-2')
    await untilServing(2)
  })

  test.each([{ direction: 'both' }, { direction: 'send' }, { direction: 'receive' }] as const)(
    'a partition ($direction) cuts one off from all, without a word, until it heals',
    async ({ direction }) => {
      await vms.machines.faults.impair('vm-2', { kind: 'partition', direction })
      expect([await answers(2), await reaches(3, 2), await answers(3)]).toEqual([
        false,
        false,
        true,
      ])
      expect(await vms.machines.faults.heal('vm-2')).toBe(true)
      expect(await vms.machines.faults.heal('vm-2')).toBe(false)
      await untilServing(2)
    },
  )

  test('lost packets make it slow, not dead; a full disk takes no more', async () => {
    await vms.machines.faults.impair('vm-2', { kind: 'loss', percent: 30 })
    const lossy = `/run/netns/${vms.slot.name}`
    const rules = execFileSync('nsenter', [`--net=${lossy}`, 'nft', 'list', 'table', 'ip', 'vpc'])
    expect(rules.toString()).toContain('numgen random mod 100 < 30 drop')
    await eventually('an answer all the same', async () => get(2, '/', 30_000))
    await vms.machines.faults.impair('vm-2', { kind: 'full disk' })
    const free = (): number =>
      Number(/(\d+)\s*$/.exec(inFiles(2, 'df', '--output=avail', '/run/stateful'))?.[1])
    expect(free()).toBe(0)
    await vms.machines.faults.heal('vm-2')
    expect(free()).toBeGreaterThan(1_000_000)
  })

  const DELAY_MS = 300
  /** What there is of links and rules beside the VMs' own. */
  function traces(): string[] {
    const netns = [`--net=/run/netns/${vms.slot.name}`]
    const links = execFileSync('nsenter', [...netns, 'ip', '-br', 'link'], { encoding: 'utf8' })
    const tables = execFileSync('nsenter', [...netns, 'nft', 'list', 'tables'], {
      encoding: 'utf8',
    })
    const queues = execFileSync('nsenter', [...netns, 'tc', 'qdisc', 'show'], { encoding: 'utf8' })
    const hosts = readdirSync('/sys/class/net').filter((name) => name.startsWith(vms.slot.name))
    return [
      ...links.split('\n').map((line) => line.split(/[\s@]/)[0] ?? ''),
      ...tables.split('\n'),
      ...queues.split('\n'),
      ...hosts,
    ]
  }
  async function took(work: () => Promise<unknown>): Promise<number> {
    const from = performance.now()
    await work()
    return performance.now() - from
  }

  test('slow packets arrive all the same, large ones too, no sooner than said', async () => {
    const before = traces()
    await vms.machines.faults.impair('vm-2', { kind: 'delay', ms: 50 })
    await vms.machines.faults.impair('vm-3', { kind: 'delay', ms: DELAY_MS })
    // There and back once to connect, once to ask.
    expect(await took(() => get(3))).toBeGreaterThanOrEqual(2 * DELAY_MS)
    expect(await took(() => reaches(2, 3))).toBeGreaterThanOrEqual(2 * DELAY_MS)
    const large = 'x'.repeat(2 ** 18)
    const response = await fetch(`http://${ipOf(3)}:${PORT}/size`, { method: 'POST', body: large })
    expect(await response.text()).toBe(String(large.length))
    await vms.machines.faults.heal('vm-3')
    expect(await took(() => get(2))).toBeGreaterThanOrEqual(100)
    await vms.machines.faults.heal('vm-2')
    expect(await get(2)).toContain('vm-2')
    expect(await get(3)).toContain('vm-3')
    expect(traces()).toEqual(before)
  })

  test('a busy VM and a slow disk go on working, until they heal', async () => {
    const { faults } = vms.machines
    const counting = (): number =>
      processesOf(`${group(3)}/daemon`).filter((pid) =>
        readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('while :; do :; done'),
      ).length
    await faults.impair('vm-3', { kind: 'cpu load', programs: 3 })
    expect(counting()).toBe(3)
    await untilServing(3)
    const write = (): void => {
      const where = ['of=/run/stateful/written', 'bs=64k', 'count=8', 'oflag=direct']
      const joined = `echo 0 >"$1"; shift; exec "$@"`
      const blkio = joinFiles(group(3)).find((file) =>
        /blkio|^\/sys\/fs\/cgroup\/wherry/.test(file),
      )
      inFiles(3, 'bash', '-c', joined, 'join', blkio ?? '', 'dd', 'if=/dev/zero', ...where)
    }
    await faults.impair('vm-3', { kind: 'slow disk', bytesPerSecond: 2 ** 18 })
    // Half a megabyte, a quarter each second; the kernel may let the first part through at once.
    expect(await took(async () => write())).toBeGreaterThanOrEqual(1000)
    expect(await faults.heal('vm-3')).toBe(true)
    expect(counting()).toBe(0)
    await untilServing(3)
  })

  function inFiles(n: number, ...command: string[]): string {
    const [pid = 0] = processesOf(`${group(n)}/daemon`).filter((each) =>
      readFileSync(`/proc/${each}/cmdline`, 'utf8').startsWith('dockerd'),
    )
    return execFileSync('nsenter', ['--mount', '--target', String(pid), ...command], {
      encoding: 'utf8',
    })
  }

  test('a power cut says goodbye to nobody, and leaves nothing but the disk', async () => {
    const socket = connect({ host: ipOf(2), port: PORT })
    await new Promise((resolve) => socket.once('connect', resolve))
    let heard = ''
    socket.on('close', () => (heard = 'close'))
    socket.on('error', () => (heard = 'error'))
    await vms.machines.kill('vm-2')
    expect(vms.machines.isAlive('vm-2')).toBe(false)
    expect(processesOf(group(2))).toEqual([])
    expect(readdirSync('/run/netns')).not.toContain(`${vms.slot.name}-2`)
    expect(heard).toBe('')
    socket.destroy()
    // The same disk in a new incarnation.
    await vms.machines.boot(vms.vm(2))
    await untilServing(2)
    expect(exits).toEqual([])
  })

  test('a guest that turns itself off is told apart from a host that breaks', async () => {
    const init = (n: number): number =>
      processesOf(`${group(n)}/daemon`).find(
        (pid) =>
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('vm-init.sh') &&
          /^NSpid:\s+\d+\s+1$/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')),
      ) ?? -1
    process.kill(init(2), 'SIGTERM')
    await eventually('it went', async () => exits.length === 1)
    process.kill(init(3), 'SIGKILL')
    await eventually('the other went', async () => exits.length === 2)
    expect(exits.map(({ name, how }) => `${name} ${how}`)).toEqual(['vm-2 shutdown', 'vm-3 crash'])
    expect(
      readdirSync('/run/netns').filter((name) => name.startsWith(`${vms.slot.name}-`)),
    ).toEqual([])
  })
})
