// Faults on request: GET and POST /faults on the emulator's own loopback address, for `npm run fault`
// and for tests. It needs the admin's token: whoever can stop a VM here could do so with gcloud.

import { createHash, timingSafeEqual } from 'node:crypto'
import { Hono } from 'hono'
import type { Log } from '#shared/ports/log.ts'
import { GoogleError } from './compute/google-error.ts'
import { CannotCause } from './compute/machines.ts'
import { readBody } from './compute/read-body.ts'
import type { VmFaults } from './compute/vm-faults.ts'
import type { Outage } from './outage.ts'
import { isFaultName, nearest, FAULT_KINDS, type FaultKind, type FaultName } from './fault-kinds.ts'

export interface FaultsOptions {
  compute: VmFaults
  /** The pods of all clusters. */
  pods(): Promise<FaultPod[]>
  /** Of the control plane. */
  outage: Pick<Outage, 'begin' | 'end'>
  adminToken: string
  log: Log
}

export interface FaultPod {
  namespace: string
  name: string
  /** What its containers take for their host's name. */
  hostname: string
  /** Undefined: it is on none yet. */
  node: string | undefined
}

const BODY_MAX = 4096

class FaultRefused extends Error {
  override readonly name = 'FaultRefused'
  readonly status: 400 | 404 | 409

  constructor(status: 400 | 404 | 409, message: string) {
    super(message)
    this.status = status
  }
}

export function createFaults(options: FaultsOptions): Hono {
  const app = new Hono()
  app.use('*', async (c, next) => {
    const given = c.req.header('authorization') ?? ''
    if (isSame(given, `Bearer ${options.adminToken}`)) return next()
    return c.json({ error: 'the token of the home folder (admin-token) is needed' }, 401)
  })
  app.get('/faults', async (c) => {
    const pods = await options.pods()
    return c.json({ nodes: options.compute.vms(), pods: pods.map(fullName).sort() })
  })
  app.post('/faults', async (c) => {
    const { fault, target, value } = await readOrder(c.req.raw)
    const said = await cause(options, fault, target, value)
    options.log.warn('a fault was caused on purpose', { fault, target })
    return c.json({ said })
  })
  app.onError((error, c) => {
    if (error instanceof FaultRefused) return c.json({ error: error.message }, error.status)
    if (error instanceof GoogleError || error instanceof CannotCause)
      return c.json({ error: error.message }, 409)
    options.log.error('a fault could not be caused', { error })
    return c.json({ error: String(error) }, 500)
  })
  return app
}

async function cause(
  options: FaultsOptions,
  fault: FaultName,
  target: string,
  value: string,
): Promise<string> {
  if (fault === 'container-kill') return killContainers(options, target)
  if (isWhole(fault)) return ON_ALL[fault](options)
  return ON_NODES[fault](options, findNode(options, target), value)
}

type WholeFault = 'heal' | 'stock-out' | 'quota' | 'control-plane-away' | 'control-plane-back'
type NodeFault = Exclude<FaultName, WholeFault | 'container-kill'>

const ON_ALL: Record<WholeFault, (options: FaultsOptions) => string | Promise<string>> = {
  'stock-out'({ compute }) {
    compute.setShortage('stock-out')
    return 'no zone has a machine left: ZONE_RESOURCE_POOL_EXHAUSTED for every new VM, until heal'
  },
  quota({ compute }) {
    compute.setShortage('quota')
    return 'the quotas are used up: QUOTA_EXCEEDED for every new VM, until heal'
  },
  'control-plane-away': ({ outage }) => outage.begin(),
  'control-plane-back': ({ outage }) => outage.end() ?? 'the control plane was not away',
  async heal({ compute, outage }) {
    const back = outage.end()
    const done = [...(await compute.heal()), ...(back ? [back] : [])]
    return done.length === 0 ? 'nothing to heal' : done.join('; ')
  },
}

function isWhole(fault: FaultName): fault is WholeFault {
  return Object.hasOwn(ON_ALL, fault)
}

/** Each causes its fault on a VM that is there, and says what happened. */
const ON_NODES: Record<
  NodeFault,
  (options: FaultsOptions, node: string, value: string) => string | Promise<string>
> = {
  async 'vm-kill'({ compute }, node) {
    await compute.killVm(node)
    return `${node} has no power any more; its group makes a new VM of that name`
  },
  'vm-hang'({ compute }, node) {
    compute.hangVm(node)
    return `${node} stands still; vm-resume or heal lets it go on`
  },
  'vm-resume'({ compute }, node) {
    compute.resumeVm(node)
    return `${node} goes on`
  },
  'agent-kill': ({ compute }, node) => compute.killProgram(node, 'agent'),
  'docker-kill': ({ compute }, node) => compute.killProgram(node, 'docker'),
  async partition({ compute }, node, value) {
    const direction = value === 'send' || value === 'receive' ? value : 'both'
    await compute.impair(node, { kind: 'partition', direction })
    const what = direction === 'both' ? 'send or receive' : direction
    return `${node} cannot ${what} anything, until heal`
  },
  async delay({ compute }, node, value) {
    await compute.impair(node, { kind: 'delay', ms: Number(value) })
    return `packets for ${node} take ${value} ms longer, until heal`
  },
  async loss({ compute }, node, value) {
    await compute.impair(node, { kind: 'loss', percent: Number(value) })
    return `of the packets that ${node} sends and gets ${value} % are lost, until heal`
  },
  async 'full-disk'({ compute }, node) {
    await compute.impair(node, { kind: 'full disk' })
    return `the disk of ${node} is full, until heal`
  },
  async 'slow-disk'({ compute }, node, value) {
    await compute.impair(node, { kind: 'slow disk', bytesPerSecond: Number(value) * 1024 })
    return `${node} reads and writes ${value} KB a second, until heal`
  },
  async 'cpu-load'({ compute }, node, value) {
    await compute.impair(node, { kind: 'cpu load', programs: Number(value) })
    return `${value} programs on ${node} do nothing but count, until heal`
  },
  'check-flap'({ compute }, node) {
    compute.flapChecks(node)
    return `the health checks of ${node} fail and succeed in turns, until heal`
  },
  'vm-stop'(options, node) {
    inBackground(options, node, options.compute.stopVm(node))
    return `${node} is asked to shut down, and has 30 s for it; its group makes a new VM of that name`
  },
  'vm-preempt'(options, node) {
    inBackground(options, node, options.compute.preempt(node))
    return `${node} was told that it goes, and has 30 s for it; its group makes a new VM of that name`
  },
}

/** What takes its time: whoever caused it need not wait. */
function inBackground({ log }: FaultsOptions, node: string, work: Promise<void>): void {
  work.catch((error: unknown) => log.error('a fault did not go well', { node, error }))
}

async function killContainers(options: FaultsOptions, target: string): Promise<string> {
  const pods = await options.pods()
  const found = pods.filter((pod) => pod.name === target || fullName(pod) === target)
  const [pod] = found
  if (!pod) throw unknown('pod', target, pods.map(fullName))
  if (found.length > 1) {
    const names = [...new Set(found.map(fullName))]
    throw new FaultRefused(400, `${target} is more than one pod: ${names.join(', ')}`)
  }
  const wasThere = pod.node !== undefined && options.compute.killPod(pod.node, pod.hostname)
  if (!wasThere) throw new FaultRefused(409, `${fullName(pod)} has no running container`)
  return `the containers of ${fullName(pod)} on ${pod.node} are dead`
}

function findNode({ compute }: FaultsOptions, target: string): string {
  const names = compute.vms().map(({ name }) => name)
  if (names.includes(target)) return target
  throw unknown('node', target, names)
}

function unknown(kind: 'node' | 'pod', word: string, names: readonly string[]): FaultRefused {
  const meant = nearest(word, names)
  const there = names.length > 0 ? `There are: ${[...names].sort().join(', ')}` : 'There is none'
  const hint = meant ? ` Did you mean ${meant}?` : ''
  return new FaultRefused(404, `no ${kind} "${word}".${hint} ${there}`)
}

function fullName({ namespace, name }: FaultPod): string {
  return `${namespace}/${name}`
}

async function readOrder(
  request: Request,
): Promise<{ fault: FaultName; target: string; value: string }> {
  const { fault, target, value: given } = fieldsOf((await readBody(request, BODY_MAX)) ?? '')
  if (!isFaultName(fault)) {
    const names = Object.keys(FAULT_KINDS)
    const meant = nearest(fault, names)
    const hint = meant ? ` Did you mean ${meant}?` : ''
    throw new FaultRefused(400, `no fault "${fault}".${hint} There are: ${names.join(', ')}`)
  }
  const kind = FAULT_KINDS[fault].target
  if (kind !== 'none' && !target)
    throw new FaultRefused(400, `${fault} needs the name of a ${kind}`)
  return { fault, target, value: readValue(fault, given) }
}

function readValue(fault: FaultName, given: string): string {
  const kind: FaultKind = FAULT_KINDS[fault]
  if (!kind.value) {
    if (given) throw new FaultRefused(400, `${fault} takes nothing after the name: ${given}`)
    return ''
  }
  const value = given || kind.value.default
  if (kind.value.pattern.test(value)) return value
  throw new FaultRefused(400, `${fault}: not a ${kind.value.name}: ${value}. ${kind.does}`)
}

function fieldsOf(text: string): { fault: string; target: string; value: string } {
  const json = parse(text)
  const field = (name: string): string => {
    const value: unknown =
      typeof json === 'object' && json !== null
        ? Object.entries(json).find(([key]) => key === name)?.[1]
        : ''
    return typeof value === 'string' ? value : ''
  }
  return { fault: field('fault'), target: field('target'), value: field('value') }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isSame(given: string, wanted: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(given), hash(wanted))
}
