// The agent of a simulated VM: it speaks to the api function as the real one does (agent-wire.ts), with
// a signed identity token, at the same moments, and as often; its containers only take time.

import type { DesiredState, NodeEvent, NodeReport, PodReport } from '#shared/api/agent-wire.ts'
import { ANSWERED_ANNOTATION, ASKED_ANNOTATION, type Node } from '#shared/api/node.ts'
import { NODE_POOL_LABEL } from '#shared/api/node-pool.ts'
import type { Pod, PodStatus } from '#shared/api/pod.ts'
import { fnv32 } from '#shared/hash.ts'
import type { Instance } from '#shared/ports/compute.ts'
import { formatTime } from '#shared/time.ts'

/** Pulling, creating and starting; the first look at whether it is ready is part of it. */
const START_MS = 400
/** From the signal to the end of the last process. */
const STOP_MS = 200
/** Not yet listed as one of the pool's: the API does not know this VM. */
const UNKNOWN_RETRY_MS = 1000
/** No two agents are equally fast: nobody's news travel together with another's. */
const APART_MS = 150

export type Call = (
  method: 'GET' | 'POST',
  path: string,
  body?: unknown,
) => Promise<{ status: number; body: unknown }>

export interface CloudVmOptions {
  instance: Instance
  pool: string
  /** Which of all VMs: later ones are slower. */
  index: number
  call: Call
  now(): number
}

/** Something to tell, at its time. */
interface News {
  atMs: number
  uid: string
  pod?: PodReport
  events: NodeEvent[]
  node?: Node
}

export class CloudVm {
  readonly name: string
  readonly #options: CloudVmOptions
  readonly #delayMs: number
  readonly #running = new Set<string>()
  readonly #stopping = new Set<string>()
  readonly #told = new Map<string, PodStatus>()
  #news: News[]
  #isWoken = false
  #answered = ''
  /** How long each exchange with the API takes now (ms); Infinity: it hangs, or is cut off. */
  link: () => number = () => 0
  #lookAtMs: number | undefined

  constructor(options: CloudVmOptions) {
    this.#options = options
    this.name = options.instance.name
    this.#delayMs = options.index * APART_MS
    this.#news = [{ atMs: options.now() + this.#delayMs, uid: '', events: [], node: this.#node() }]
    this.#lookAtMs = options.now() + this.#delayMs
  }

  /** A message came. */
  wake(): void {
    if (this.link() === Infinity) return
    this.#isWoken = true
  }

  /** When it will act by itself; undefined: never. */
  get nextAtMs(): number | undefined {
    if (this.link() === Infinity) return undefined
    const times = this.#news.map(({ atMs }) => atMs)
    if (this.#lookAtMs !== undefined) times.push(this.#lookAtMs)
    if (this.#isWoken) times.push(this.#options.now())
    return times.length > 0 ? Math.min(...times) : undefined
  }

  /** Does what is due: one report with all that is new, then one look at what is wanted. */
  async act(): Promise<void> {
    const now = this.#options.now()
    const due = this.#news.filter(({ atMs }) => atMs <= now)
    if (due.length > 0) await this.#report(due)
    if (!this.#isWoken && (this.#lookAtMs ?? Infinity) > now) return
    this.#isWoken = false
    this.#lookAtMs = undefined
    await this.#look()
  }

  async #report(due: News[]): Promise<void> {
    const report: NodeReport = {}
    const pods = due.flatMap(({ pod }) => pod ?? [])
    const events = due.flatMap((news) => news.events)
    const node = due.find((news) => news.node)?.node
    if (node) report.node = node
    if (pods.length > 0) report.pods = pods
    if (events.length > 0) report.events = events
    const { status } = await this.#options.call('POST', this.#path('report'), report)
    if (status === 200) {
      this.#news = this.#news.filter((news) => !due.includes(news))
      return
    }
    for (const news of due) news.atMs = this.#options.now() + UNKNOWN_RETRY_MS
  }

  async #look(): Promise<void> {
    const { status, body } = await this.#options.call('GET', this.#path('desired'))
    if (status !== 200) {
      this.#lookAtMs = this.#options.now() + UNKNOWN_RETRY_MS
      return
    }
    const { pods, node } = body as DesiredState
    this.#answer(node)
    for (const pod of pods) {
      const { uid, deletionTimestamp } = pod.metadata
      if (deletionTimestamp) this.#stop(pod)
      else if (!this.#running.has(uid)) this.#start(pod)
      else if (isReady(node)) this.#compare(pod)
    }
  }

  /** As agent/node/answer.ts; on the way are the message, the read and the report. */
  #answer(node: Node | undefined): void {
    const asked = node?.metadata.annotations?.[ASKED_ANNOTATION] ?? ''
    if (asked === this.#answered) return
    this.#answered = asked
    const answer = this.#node()
    answer.metadata.annotations = { [ANSWERED_ANNOTATION]: asked }
    const ms = this.link() + this.link() + this.link()
    this.#news.push({ atMs: this.#options.now() + ms, uid: '', events: [], node: answer })
  }

  #start(pod: Pod): void {
    this.#running.add(pod.metadata.uid)
    const atMs = this.#options.now() + START_MS + this.#delayMs
    const image = pod.spec.containers[0]?.image ?? ''
    const events = [
      ['Pulled', `Container image "${image}" already present on machine`],
      ['Created', 'Created container: web'],
      ['Started', 'Started container web'],
    ].map(([reason = '', message = '']) => eventOf(pod, reason, message))
    const status = runningStatus(pod, this.#options.instance.internalIp, atMs)
    this.#told.set(pod.metadata.uid, status)
    this.#news.push({ atMs, uid: pod.metadata.uid, events, pod: reportOf(pod, status) })
  }

  /** As the real reporter: what somebody else has changed is told again when this VM is believed. */
  #compare(pod: Pod): void {
    const { uid } = pod.metadata
    const told = this.#told.get(uid)
    if (!told || isReady(pod)) return
    this.#news.push({ atMs: this.#options.now(), uid, events: [], pod: reportOf(pod, told) })
  }

  #stop(pod: Pod): void {
    const { uid } = pod.metadata
    if (this.#stopping.has(uid)) return
    this.#stopping.add(uid)
    this.#news = this.#news.filter((news) => news.uid !== uid)
    this.#news.push({
      atMs: this.#options.now() + STOP_MS + this.#delayMs,
      uid,
      events: [eventOf(pod, 'Killing', 'Stopping container web')],
      pod: { ...reportOf(pod, { ...pod.status, phase: 'Succeeded' }), isGone: true },
    })
  }

  #path(what: string): string {
    return `/apis/agent.wherry.dev/v1/nodes/${this.name}/${what}`
  }

  #node(): Node {
    const { instance, pool } = this.#options
    const resources = { cpu: '940m', memory: '2Gi', pods: '110', 'ephemeral-storage': '40Gi' }
    return {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name: instance.name,
        uid: '',
        creationTimestamp: '',
        labels: {
          [NODE_POOL_LABEL]: pool,
          'kubernetes.io/hostname': instance.name,
          'topology.kubernetes.io/zone': instance.zone,
        },
      },
      spec: { providerID: `gce://p/${instance.zone}/${instance.name}` },
      status: {
        capacity: resources,
        allocatable: resources,
        addresses: [{ type: 'InternalIP', address: instance.internalIp }],
        conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady' }],
      },
    }
  }
}

function isReady(object: Pod | Node | undefined): boolean {
  const ready = object?.status?.conditions?.find(({ type }) => type === 'Ready')
  return ready?.status === 'True'
}

function reportOf({ metadata }: Pod, status: PodStatus): PodReport {
  const { namespace = '', name, uid } = metadata
  return { namespace, name, uid, status }
}

function eventOf({ metadata }: Pod, reason: string, message: string): NodeEvent {
  const { namespace = '', name, uid } = metadata
  const pod = { namespace, name, uid }
  return { pod, fieldPath: 'spec.containers{web}', type: 'Normal', reason, message }
}

function runningStatus(pod: Pod, hostIP: string, atMs: number): PodStatus {
  const time = formatTime(atMs)
  const hash = fnv32(pod.metadata.uid)
  const container = pod.spec.containers[0]
  return {
    phase: 'Running',
    hostIP,
    podIP: `10.4.${(hash >>> 8) & 255}.${hash & 255}`,
    startTime: time,
    conditions: ['Initialized', 'Ready', 'ContainersReady'].map((type) => ({
      type,
      status: 'True',
      lastTransitionTime: time,
    })),
    containerStatuses: [
      {
        name: container?.name ?? '',
        image: container?.image ?? '',
        imageID: 'sha256:0',
        ready: true,
        started: true,
        restartCount: 0,
        state: { running: { startedAt: time } },
      },
    ],
  }
}
