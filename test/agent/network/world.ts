// A tiny VPC out of network namespaces: a router, VMs with the kernel network, pods that are processes,
// and somebody outside. Namespaces have no names, they live as long as the process that holds them, and
// that ends with this one: two runs at once do not meet, and nothing stays behind.

import { spawn, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HostPort, WantedNetwork } from '#agent/network/network.ts'
import type { Answer, Command } from './pod-program.ts'
import { aPodOf } from './objects.ts'
import type { VmCommand } from './vm-program.ts'

const GATEWAY = '10.128.0.1'
export const OUTSIDE_IP = '203.0.113.9'
const HERE = import.meta.dirname
/** For what shall be answered, on a machine that has much else to do. */
const PATIENCE_MS = 15_000
/** For what shall not be. */
const SILENCE_MS = 700

/** What is missing for such tests; undefined: nothing. */
export function whyNot(): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux'
  if (process.getuid?.() !== 0) return 'needs root'
  const missing = ['ip', 'nft', 'nsenter', 'unshare', 'conntrack'].filter(
    (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0,
  )
  return missing.length > 0 ? `needs ${missing.join(', ')}` : undefined
}

/** Tries until it holds; the last failure otherwise. */
export async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  const until = Date.now() + 20_000
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (Date.now() > until) throw error
      await new Promise((done) => setTimeout(done, 50))
    }
  }
}

/** A process that answers commands over a channel, in a network namespace. */
class Program<C extends object, A> {
  readonly child: ChildProcess
  #next = 0
  readonly #waiting = new Map<
    number,
    { resolve: (answer: A) => void; reject: (e: Error) => void }
  >()
  readonly ready: Promise<void>

  constructor(command: string, args: readonly string[]) {
    const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.child = child
    this.ready = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code) => {
        const error = new Error(`${args.at(-1)} ended with ${code}`)
        reject(error)
        for (const { reject: refuse } of this.#waiting.values()) refuse(error)
      })
      child.on('message', (message: { id?: number; answer?: A; error?: string }) => {
        if (message.id === undefined) return resolve()
        const waiting = this.#waiting.get(message.id)
        this.#waiting.delete(message.id)
        if (message.error === undefined) waiting?.resolve(message.answer as A)
        else waiting?.reject(new Error(message.error))
      })
    })
    this.ready.catch(() => undefined)
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  async ask(command: C): Promise<A> {
    await this.ready
    const id = this.#next++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.child.send({ id, command })
    })
  }

  end(): void {
    this.child.kill('SIGKILL')
  }
}

/** A process of a pod, of a node, or of somebody outside: serves, and asks others. */
export class Peer {
  readonly name: string
  readonly program: Program<Command, Answer>

  constructor(name: string, command: string, args: readonly string[]) {
    this.name = name
    this.program = new Program(command, [
      ...args,
      process.execPath,
      join(HERE, 'pod-program.ts'),
      name,
    ])
  }

  /**
   * Connects; answers who served and whom it saw: `web-1 10.4.1.2`, or an error's code. `from`: an
   * address to send from, whether or not it is its own.
   */
  async tcp(host: string, port: number, from?: string): Promise<string> {
    if (from) inside(this.program.pid, `ip addr add ${from}/32 dev lo`)
    const { text } = await this.program.ask({ do: 'tcp', host, port, patience: PATIENCE_MS, from })
    if (from) inside(this.program.pid, `ip addr del ${from}/32 dev lo`)
    return text
  }

  /** True when nobody answers, neither yes nor no. */
  async isSilent(host: string, port: number, from?: string): Promise<boolean> {
    if (from) inside(this.program.pid, `ip addr add ${from}/32 dev lo`)
    const { text } = await this.program.ask({ do: 'tcp', host, port, patience: SILENCE_MS, from })
    if (from) inside(this.program.pid, `ip addr del ${from}/32 dev lo`)
    return text === 'timeout'
  }

  /** The state of its connection to this host, as the kernel calls it; empty: there is none. */
  attempts(host: string): string {
    return inside(this.program.pid, `ss -Htn state syn-sent dst ${host}`) ? 'SYN-SENT' : ''
  }

  async udp(host: string, port: number, fromPort = 0): Promise<string> {
    return (await this.program.ask({ do: 'udp', host, port, fromPort })).text
  }

  /** Answers every question of DNS with this address. */
  async serveDns(address: string): Promise<void> {
    await this.program.ask({ do: 'serve-dns', address })
  }

  async http(host: string, port: number): Promise<unknown> {
    return JSON.parse((await this.program.ask({ do: 'http', host, port })).text)
  }

  async dns(type: string, name: string, server: string): Promise<unknown> {
    const { text } = await this.program.ask({ do: 'dns', type, name, server })
    return JSON.parse(text)
  }
}

export class Vm {
  readonly name: string
  readonly ip: string
  readonly podRange: string
  readonly holder: number
  readonly #stateDir: string
  readonly #resolvConf: string
  #program: Program<VmCommand, string>
  readonly #pods = new Map<string, Peer>()
  #wanted: Omit<WantedNetwork, 'pods'> | undefined

  constructor(facts: {
    name: string
    ip: string
    podRange: string
    holder: number
    folder: string
  }) {
    this.name = facts.name
    this.ip = facts.ip
    this.podRange = facts.podRange
    this.holder = facts.holder
    this.#stateDir = mkdtempSync(join(facts.folder, `${facts.name}-`))
    this.#resolvConf = join(this.#stateDir, 'resolv.conf')
    writeFileSync(this.#resolvConf, `nameserver ${OUTSIDE_IP}\n`)
    this.#program = this.#start()
  }

  #start(): Program<VmCommand, string> {
    const facts = {
      node: { name: this.name, ip: this.ip, podRange: this.podRange },
      stateDir: this.#stateDir,
      resolvConf: this.#resolvConf,
      remembered: this.#wanted,
    }
    return new Program('nsenter', [
      `--net=/proc/${this.holder}/ns/net`,
      '--',
      process.execPath,
      join(HERE, 'vm-program.ts'),
      JSON.stringify(facts),
    ])
  }

  /** Exactly this; its pods are wanted as well. */
  async apply(wanted: Omit<WantedNetwork, 'pods'>): Promise<void> {
    this.#wanted = wanted
    const pods = [...this.#pods.keys()].map((uid) => aPodOf(uid))
    await this.#program.ask({ do: 'apply', wanted: { ...wanted, pods } })
  }

  /** A pod with its address. `uid` is its name. */
  async addPod(name: string, hostPorts: HostPort[] = []): Promise<{ peer: Peer; ip: string }> {
    const known = this.#pods.get(name)
    const peer = known ?? new Peer(name, 'unshare', ['--net'])
    this.#pods.set(name, peer)
    await peer.program.ready
    const sandbox = { pid: peer.program.pid, hostNetwork: false, hostPorts }
    const ip = await this.#program.ask({ do: 'add', uid: name, sandbox })
    return { peer, ip }
  }

  async removePod(name: string): Promise<void> {
    await this.#program.ask({ do: 'remove', uid: name })
    this.#pods.get(name)?.program.end()
    this.#pods.delete(name)
  }

  /** A program in the VM's own network. */
  peer(name: string): Peer {
    return new Peer(name, 'nsenter', [`--net=/proc/${this.holder}/ns/net`, '--'])
  }

  /** The table, without handles, as text that can be compared. */
  async table(): Promise<string> {
    return normalized(await this.#program.ask({ do: 'table' }))
  }

  /** Somebody else takes the table away. */
  dropTable(): void {
    inside(this.holder, 'nft delete table ip wherry')
  }

  /** The agent dies. */
  kill(): void {
    this.#program.end()
  }

  /** It starts again; `isQuiet`: and has not heard yet what is wanted. */
  async restart(isQuiet = false): Promise<void> {
    this.#program = this.#start()
    await this.#program.ready
    if (this.#wanted && !isQuiet) await this.apply(this.#wanted)
  }

  end(): void {
    this.#program.end()
    for (const { program } of this.#pods.values()) program.end()
  }
}

export class Vpc {
  readonly #holders: ChildProcess[] = []
  readonly #folder = mkdtempSync(join(tmpdir(), 'wherry-vpc-'))
  readonly #router: number
  readonly #vms: Vm[] = []
  readonly #peers: Peer[] = []
  #links = 0

  constructor() {
    this.#router = this.#hold()
    inside(this.#router, 'ip link set lo up')
    inside(this.#router, 'echo 1 > /proc/sys/net/ipv4/ip_forward')
  }

  addVm(name: string, ip: string, podRange: string): Vm {
    const holder = this.#hold()
    const tap = this.#connect(holder, ip)
    inside(this.#router, `ip route add ${podRange} via ${ip} dev ${tap} onlink`)
    const vm = new Vm({ name, ip, podRange, holder, folder: this.#folder })
    this.#vms.push(vm)
    return vm
  }

  /** Somebody on the internet. */
  outside(name: string): Peer {
    const holder = this.#hold()
    this.#connect(holder, OUTSIDE_IP)
    return this.keep(new Peer(name, 'nsenter', [`--net=/proc/${holder}/ns/net`, '--']))
  }

  keep(peer: Peer): Peer {
    this.#peers.push(peer)
    return peer
  }

  /** A passthrough load balancer: packets to the address arrive at this VM as they are. */
  balance(address: string, vm: Vm): void {
    inside(this.#router, `ip route replace ${address}/32 via ${vm.ip}`)
  }

  /** Something at the metadata server's address, beside the router as on Google Cloud. */
  async serveMetadata(): Promise<void> {
    inside(this.#router, 'ip addr replace 169.254.169.254/32 dev lo')
    const peer = new Peer('metadata', 'nsenter', [`--net=/proc/${this.#router}/ns/net`, '--'])
    await this.keep(peer).program.ready
  }

  close(): void {
    for (const vm of this.#vms) vm.end()
    for (const { program } of this.#peers) program.end()
    for (const holder of this.#holders) holder.kill('SIGKILL')
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #hold(): number {
    const holder = hold()
    this.#holders.push(holder)
    return holder.pid ?? 0
  }

  #connect(holder: number, ip: string): string {
    const tap = `tap${++this.#links}`
    inside(
      this.#router,
      `ip link add ${tap} type veth peer name eth0 netns ${holder}`,
      `ip addr add ${GATEWAY}/32 dev ${tap}`,
      `ip link set ${tap} up`,
      `ip route add ${ip}/32 dev ${tap}`,
    )
    inside(
      holder,
      'ip link set lo up',
      `ip addr add ${ip}/32 dev eth0`,
      'ip link set eth0 mtu 1460 up',
      `ip route add ${GATEWAY} dev eth0 scope link`,
      `ip route add default via ${GATEWAY}`,
    )
    return tap
  }
}

/** A namespace, held by a process that ends when its input does. */
export function hold(): ChildProcess {
  const holder = spawn('unshare', ['--net', 'cat'], { stdio: ['pipe', 'ignore', 'inherit'] })
  const own = netns('self')
  const until = Date.now() + 20_000
  while (Date.now() < until) {
    const theirs = netns(String(holder.pid))
    if (theirs && theirs !== own) return holder
    spawnSync('sleep', ['0.01'])
  }
  throw new Error('no namespace could be made')
}

function netns(pid: string): string {
  return spawnSync('readlink', [`/proc/${pid}/ns/net`]).stdout.toString()
}

function inside(holder: number, ...commands: string[]): string {
  const script = `set -e; ${commands.join('; ')}`
  const args = [`--net=/proc/${holder}/ns/net`, '--', 'sh', '-c', script]
  const { status, stdout, stderr } = spawnSync('nsenter', args)
  if (status !== 0) throw new Error(`${script}: ${stderr.toString()}`)
  return stdout.toString()
}

/** `nft -j list table` without what depends on history: handles, the order of elements, ages. */
export function normalized(text: string): string {
  const { nftables }: { nftables: unknown[] } = JSON.parse(text)
  const plain = JSON.stringify(nftables.slice(1), (key, value: unknown) => {
    if (key === 'handle' || key === 'expires') return undefined
    if (key !== 'elem' || !Array.isArray(value)) return value
    return value.map((each) => JSON.stringify(each)).sort()
  })
  const list: unknown[] = JSON.parse(plain)
  // Rules stay in their order within a chain; chains, sets and maps are sorted.
  const byChain = Map.groupBy(list, (each) => placeOf(each))
  return JSON.stringify(
    [...byChain].sort(([x], [y]) => (x < y ? -1 : 1)),
    undefined,
    1,
  )
}

function placeOf(each: unknown): string {
  const [[kind, value]] = Object.entries(each as object) as [[string, object]]
  const { name, chain } = value as { name?: string; chain?: string }
  return `${kind} ${chain ?? name ?? ''}`
}
