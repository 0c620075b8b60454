// The endpoints of one backend service: each is probed, the healthy ones get requests in turn. One that is
// taken off gets no new request; those under way have the draining time to end.

import { Agent, get } from 'node:http'
import { connect } from 'node:net'
import { fnv32 } from '#shared/hash.ts'
import type { EndpointConfig, EndpointHealth, ProbeConfig, ServiceConfig } from './config.ts'

export interface Endpoint {
  readonly name: string
  readonly at: { host: string; port: number } | undefined
  readonly agent: Agent
}

interface Member extends Endpoint {
  at: EndpointConfig['at']
  health: EndpointHealth
  timer: NodeJS.Timeout | undefined
  successes: number
  failures: number
  isGone: boolean
}

export class EndpointPool {
  readonly #members = new Map<string, Member>()
  readonly #onHealth: () => void
  #config: ServiceConfig
  #turn = 0

  constructor(config: ServiceConfig, onHealth: () => void) {
    this.#config = config
    this.#onHealth = onHealth
    this.update(config)
  }

  get timeoutMs(): number {
    return this.#config.timeoutMs
  }

  update(config: ServiceConfig): void {
    const isOtherProbe = JSON.stringify(config.probe) !== JSON.stringify(this.#config.probe)
    this.#config = config
    const wanted = new Map(config.endpoints.map((endpoint) => [endpoint.name, endpoint]))
    for (const [name, member] of this.#members) {
      const endpoint = wanted.get(name)
      if (!endpoint) {
        this.#drain(member)
        continue
      }
      const hasMoved = JSON.stringify(endpoint.at) !== JSON.stringify(member.at)
      member.at = endpoint.at
      // Its container was started anew, elsewhere: looked at now, not at the end of the interval.
      if (hasMoved || isOtherProbe) this.#probeSoon(member, 0)
    }
    for (const { name, at } of wanted.values()) {
      if (this.#members.has(name)) continue
      const member: Member = {
        name,
        at,
        agent: new Agent({ keepAlive: true, maxFreeSockets: 256 }),
        health: 'UNKNOWN',
        timer: undefined,
        successes: 0,
        failures: 0,
        isGone: false,
      }
      this.#members.set(name, member)
      this.#probeSoon(member, 0)
    }
  }

  /** The next healthy one that was not tried yet; undefined: there is none. */
  pick(client: string, tried: ReadonlySet<string>): Endpoint | undefined {
    const healthy = [...this.#members.values()].filter(
      ({ health, name }) => health === 'HEALTHY' && !tried.has(name),
    )
    const first = this.#config.affinity === 'CLIENT_IP' ? fnv32(client) : this.#turn++
    return healthy[first % healthy.length]
  }

  health(): Record<string, EndpointHealth> {
    return Object.fromEntries([...this.#members].map(([name, { health }]) => [name, health]))
  }

  close(): void {
    for (const member of this.#members.values()) this.#end(member)
    this.#members.clear()
  }

  #drain(member: Member): void {
    this.#members.delete(member.name)
    member.isGone = true
    clearTimeout(member.timer)
    for (const socket of Object.values(member.agent.freeSockets).flat()) socket?.destroy()
    member.timer = setTimeout(() => this.#end(member), this.#config.drainingMs)
    member.timer.unref()
  }

  #end(member: Member): void {
    member.isGone = true
    clearTimeout(member.timer)
    member.agent.destroy()
  }

  #probeSoon(member: Member, ms: number): void {
    clearTimeout(member.timer)
    member.timer = setTimeout(() => void this.#probe(member), ms)
    member.timer.unref()
  }

  async #probe(member: Member): Promise<void> {
    const { probe } = this.#config
    const { at } = member
    const since = Date.now()
    const isWell = at !== undefined && (await probeOnce(at, probe))
    if (member.isGone) return
    // A probe of where it was says nothing of where it is now.
    if (at === member.at) {
      member.successes = isWell ? member.successes + 1 : 0
      member.failures = isWell ? 0 : member.failures + 1
      if (member.successes >= probe.healthyThreshold) this.#become(member, 'HEALTHY')
      if (member.failures >= probe.unhealthyThreshold) this.#become(member, 'UNHEALTHY')
    }
    this.#probeSoon(member, Math.max(0, probe.intervalMs - (Date.now() - since)))
  }

  #become(member: Member, health: EndpointHealth): void {
    if (member.health === health) return
    member.health = health
    this.#onHealth()
  }
}

function probeOnce(at: { host: string; port: number }, probe: ProbeConfig): Promise<boolean> {
  return probe.path === undefined ? probeTcp(at, probe) : probeHttp(at, probe)
}

function probeHttp(
  at: { host: string; port: number },
  { path = '/', timeoutMs }: ProbeConfig,
): Promise<boolean> {
  return new Promise((resolve) => {
    const headers = { 'user-agent': 'GoogleHC/1.0', connection: 'close' }
    const request = get({ ...at, path, headers, agent: false }, (response) => {
      response.resume()
      clearTimeout(timer)
      resolve(response.statusCode === 200)
    })
    const timer = setTimeout(() => request.destroy(new Error('timeout')), timeoutMs)
    request.on('error', () => {
      clearTimeout(timer)
      resolve(false)
    })
  })
}

function probeTcp(
  at: { host: string; port: number },
  { timeoutMs }: ProbeConfig,
): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(at)
    const end = (isWell: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(isWell)
    }
    const timer = setTimeout(() => end(false), timeoutMs)
    socket.on('connect', () => end(true))
    socket.on('error', () => end(false))
  })
}
