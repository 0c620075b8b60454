// Google's health checkers: they probe every running VM that a group or a backend service wants
// probed, count successes and failures against the thresholds, and say so when the state changes.

import { get } from 'node:http'
import { connect } from 'node:net'
import type { AuditLog, HealthState } from './audit-log.ts'
import { managerPathOf } from './backend-services.ts'
import type { Context } from './context.ts'
import { runningMembers } from './instance-group-managers.ts'
import { nameOf, pathOf } from './links.ts'
import type { HealthCheck, Instance } from './state.ts'
import type { Vpc } from './vpc.ts'

export interface HealthChecker {
  healthOf: (healthCheck: string, instance: string) => HealthState
  /** Begins to probe what is new and ends what is gone. */
  refresh: () => void
  /** Calls `listener` with the VM's path when a check of it changed its state. */
  onChange(listener: (instance: string, to: HealthState) => void): void
  close(): void
}

interface Deps {
  ctx: Context
  vpc: Vpc
  audit: AuditLog
}

/** Who wants to know: a group (its autohealing check) or a backend service. */
interface Wish {
  kind: 'group' | 'backend'
  check: string
  instance: string
  /** Name of the group the VM belongs to. */
  group: string
  /** A VM that is still booting is not called unhealthy: until its first success, or this long (ms). */
  patience: number
}

interface Prober {
  state: HealthState
  wishes: Wish[]
  abort: AbortController
}

/** Of load balancers' checks; a group says itself how long its VMs take (initialDelaySec). */
const BOOT_GRACE_MS = 30_000

export function createHealthChecker({ ctx, vpc, audit }: Deps): HealthChecker {
  const { state, clock } = ctx
  const probers = new Map<string, Prober>()
  const listeners: ((instance: string, to: HealthState) => void)[] = []
  let isClosed = false

  function refresh(): void {
    if (isClosed) return
    const wanted = new Map<string, Wish[]>()
    for (const wish of wishesOf(ctx)) {
      const key = keyOf(ctx, wish.check, wish.instance)
      wanted.set(key, [...(wanted.get(key) ?? []), wish])
    }
    for (const [key, prober] of probers) {
      const wishes = wanted.get(key)
      if (wishes) prober.wishes = wishes
      else {
        prober.abort.abort()
        probers.delete(key)
      }
    }
    for (const [key, wishes] of wanted) {
      if (probers.has(key)) continue
      const prober: Prober = { state: 'UNKNOWN', wishes, abort: new AbortController() }
      probers.set(key, prober)
      void watch(prober)
    }
  }

  async function watch(prober: Prober): Promise<void> {
    const { signal } = prober.abort
    const since = clock.now()
    let successes = 0
    let failures = 0
    for (let turn = 0; !signal.aborted; turn++) {
      const [wish] = prober.wishes
      const check = wish && state.healthChecks[wish.check]
      const instance = wish && state.instances[wish.instance]
      if (!check || !instance) return
      const next = clock.now() + check.checkIntervalSec * 1000
      const isLost = ctx.flapping.has(wish.instance) && isBadTurn(check, turn)
      const why = isLost ? TIMED_OUT : await probe(check, instance, vpc)
      if (signal.aborted) return
      successes = why === undefined ? successes + 1 : 0
      failures = why === undefined ? 0 : failures + 1
      const isBooting = prober.state === 'UNKNOWN' && clock.now() - since < wish.patience
      if (successes >= check.healthyThreshold) become(prober, 'HEALTHY', 'HTTP response: OK')
      else if (failures >= check.unhealthyThreshold && !isBooting) {
        become(prober, why === TIMED_OUT ? 'TIMEOUT' : 'UNHEALTHY', why ?? '')
      }
      // The interval is from the start of a probe to the start of the next, whatever it took.
      await clock.sleep(Math.max(0, next - clock.now()), signal)
    }
  }

  function become(prober: Prober, to: HealthState, text: string): void {
    const from = prober.state
    if (from === to) return
    prober.state = to
    for (const wish of prober.wishes) {
      const instance = state.instances[wish.instance]
      const check = state.healthChecks[wish.check]
      if (!instance || !check?.logConfig.enable) continue
      const about = { instance, group: wish.group, from, to, text }
      const healthCheck = { protocol: check.type, port: portOf(check) }
      if (wish.kind === 'group') audit.groupHealth({ ...about, healthCheck })
      else audit.backendHealth({ ...about, healthCheck })
    }
    const path = prober.wishes[0]?.instance
    for (const listener of listeners) if (path) listener(path, to)
  }

  return {
    healthOf: (check, instance) => probers.get(keyOf(ctx, check, instance))?.state ?? 'UNKNOWN',
    refresh,
    onChange(listener) {
      listeners.push(listener)
    },
    close() {
      isClosed = true
      for (const prober of probers.values()) prober.abort.abort()
      probers.clear()
    },
  }
}

/** A check of one incarnation: a new VM of the same name starts from the beginning. */
function keyOf({ state }: Context, check: string, instance: string): string {
  const { checkIntervalSec } = state.healthChecks[check] ?? {}
  const vm = state.instances[instance]
  return `${check} ${checkIntervalSec} ${instance} ${vm?.id} ${vm?.lastStartTimestamp}`
}

function wishesOf(ctx: Context): Wish[] {
  const { state } = ctx
  const wishes: Wish[] = []
  const add = (kind: Wish['kind'], manager: string, link: string, patience: number): void => {
    const check = pathOf(link, 'healthCheck')
    for (const instance of runningMembers(ctx, manager)) {
      if (!isPoweredOn(state.instances[instance])) continue
      wishes.push({ kind, check, instance, group: nameOf(manager), patience })
    }
  }
  for (const [path, group] of Object.entries(state.instanceGroupManagers)) {
    for (const { healthCheck, initialDelaySec } of group.autoHealingPolicies)
      add('group', path, healthCheck, initialDelaySec * 1000)
  }
  for (const service of Object.values(state.backendServices)) {
    for (const backend of service.backends) {
      for (const check of service.healthChecks)
        add('backend', managerPathOf(backend.group), check, BOOT_GRACE_MS)
    }
  }
  return wishes
}

/** A VM that shuts down is probed, and gets traffic, until it fails its checks or is off. */
export function isPoweredOn(instance: Instance | undefined): instance is Instance {
  return instance?.status === 'RUNNING' || instance?.status === 'STOPPING'
}

/** Of a check that flaps: just as many in a row as it takes to turn, and then to turn back. */
function isBadTurn({ healthyThreshold, unhealthyThreshold }: HealthCheck, turn: number): boolean {
  return turn % (healthyThreshold + unhealthyThreshold) < unhealthyThreshold
}

const TIMED_OUT = 'Connection timed out'

function portOf(check: HealthCheck): number {
  return check.httpHealthCheck?.port ?? check.tcpHealthCheck?.port ?? 0
}

/** Undefined when the VM is well; otherwise what was wrong. */
function probe(check: HealthCheck, instance: Instance, vpc: Vpc): Promise<string | undefined> {
  const ip = instance.networkInterfaces[0]?.networkIP ?? ''
  const to = vpc.lookup(`${ip}:${portOf(check)}/tcp`)
  if (!to) return Promise.resolve('Connection refused')
  const [host = '', port = ''] = to.split(':')
  const timeoutMs = check.timeoutSec * 1000
  const from = vpc.proberAddress === undefined ? {} : { localAddress: vpc.proberAddress }
  return check.httpHealthCheck
    ? probeHttp({ host, port, ...from, path: check.httpHealthCheck.requestPath }, timeoutMs)
    : probeTcp({ host, port: Number(port), ...from }, timeoutMs)
}

function probeHttp(
  to: { host: string; port: string; path: string; localAddress?: string },
  timeoutMs: number,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const headers = { 'user-agent': 'GoogleHC/1.0' }
    const request = get({ ...to, headers, agent: false }, (response) => {
      response.resume()
      const { statusCode } = response
      resolve(statusCode === 200 ? undefined : `HTTP response: ${statusCode}`)
      clearTimeout(timer)
    })
    const timer = setTimeout(() => {
      resolve(TIMED_OUT)
      request.destroy()
    }, timeoutMs)
    request.on('error', (error) => {
      clearTimeout(timer)
      resolve(error.message)
    })
  })
}

function probeTcp(
  to: { host: string; port: number; localAddress?: string },
  timeoutMs: number,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ ...to, timeout: timeoutMs })
    const end = (why: string | undefined): void => {
      socket.destroy()
      resolve(why)
    }
    socket.on('connect', () => end(undefined))
    socket.on('timeout', () => end(TIMED_OUT))
    socket.on('error', (error) => end(error.message))
  })
}
