// How `kubectl get pods` shows a pod: the STATUS and RESTARTS that people know are computed from
// container states, as Kubernetes' printPod does.

import { humanDuration, parseTime } from '../time.ts'
import { NAME_COLUMN, NONE, ageOf, column, wideColumn } from './columns.ts'
import { conditionOf } from './conditions.ts'
import type { Cell, Column, PrintContext } from './kind.ts'
import { isPodReady, isPodTerminal } from './pod-conditions.ts'
import type { Container, ContainerStatus, Pod } from './pod.ts'

export const POD_COLUMNS: readonly Column[] = [
  NAME_COLUMN,
  column('Ready', 'The aggregate readiness state of this pod for accepting traffic.'),
  column('Status', 'The aggregate status of the containers in this pod.'),
  column('Restarts', 'How often the containers in this pod were restarted, and when last.'),
  column('Age', 'Time since the pod was created.'),
  wideColumn('IP', 'Address of the pod.'),
  wideColumn('Node', 'The node that runs the pod.'),
  wideColumn('Nominated Node', 'The node where the pod would run once others have made room.'),
  wideColumn('Readiness Gates', 'Conditions beyond its containers that the pod waits for.'),
]

/** What the containers' states add up to. */
interface Summary {
  status: string
  ready: number
  restarts: number
  /** When a container that was restarted had last ended. */
  lastEnd: number | undefined
}

export function podCells(pod: Pod, context: PrintContext): Cell[] {
  const { spec, status } = pod
  const summary = summarize(pod)
  const sidecars = (spec.initContainers ?? []).filter(isSidecar).length
  const gates = spec.readinessGates ?? []
  const passed = gates.filter(
    (gate) => conditionOf(pod, gate.conditionType)?.status === 'True',
  ).length
  return [
    pod.metadata.name,
    `${summary.ready}/${spec.containers.length + sidecars}`,
    summary.status,
    formatRestarts(summary, context),
    ageOf(pod, context),
    status?.podIPs?.[0]?.ip ?? status?.podIP ?? NONE,
    spec.nodeName || NONE,
    status?.nominatedNodeName || NONE,
    gates.length > 0 ? `${passed}/${gates.length}` : NONE,
  ]
}

function formatRestarts({ restarts, lastEnd }: Summary, context: PrintContext): string {
  if (restarts === 0 || lastEnd === undefined) return String(restarts)
  return `${restarts} (${humanDuration(context.now - lastEnd)} ago)`
}

/** The STATUS column: the phase, or the reason that says more. */
export function podStatusText(pod: Pod): string {
  return summarize(pod).status
}

function summarize(pod: Pod): Summary {
  const init = summarizeInit(pod)
  const isGated = conditionOf(pod, 'PodScheduled')?.reason === 'SchedulingGated'
  const start = pod.status?.reason || (pod.status?.phase ?? '')
  const first = isGated ? 'SchedulingGated' : start
  const summary: Summary =
    init.isBusy && conditionOf(pod, 'Initialized')?.status !== 'True'
      ? { ...init.all, status: init.status ?? first, ready: init.ready }
      : summarizeMain(pod, init.status ?? first, init)

  if (pod.metadata.deletionTimestamp !== undefined) {
    if (pod.status?.reason === 'NodeLost') summary.status = 'Unknown'
    else if (!isPodTerminal(pod)) summary.status = 'Terminating'
  }
  return summary
}

interface Restarts {
  restarts: number
  lastEnd: number | undefined
}

interface InitSummary {
  isBusy: boolean
  status: string | undefined
  ready: number
  all: Restarts
  sidecars: Restarts
}

function summarizeInit(pod: Pod): InitSummary {
  const containers = new Map((pod.spec.initContainers ?? []).map((each) => [each.name, each]))
  const summary: InitSummary = {
    isBusy: false,
    status: undefined,
    ready: 0,
    all: { restarts: 0, lastEnd: undefined },
    sidecars: { restarts: 0, lastEnd: undefined },
  }
  for (const [index, status] of (pod.status?.initContainerStatuses ?? []).entries()) {
    count(summary.all, status)
    const container = containers.get(status.name)
    const keepsRunning = container !== undefined && isSidecar(container)
    if (keepsRunning) count(summary.sidecars, status)
    const ended = status.state?.terminated
    if (ended?.exitCode === 0) continue
    if (keepsRunning && status.started === true) {
      if (status.ready) summary.ready++
      continue
    }
    const waiting = status.state?.waiting?.reason
    summary.isBusy = true
    if (ended) {
      summary.status = `Init:${endReason(status)}`
    } else if (waiting && waiting !== 'PodInitializing') {
      summary.status = `Init:${waiting}`
    } else {
      summary.status = `Init:${index}/${containers.size}`
    }
    break
  }
  return summary
}

function summarizeMain(pod: Pod, first: string, init: InitSummary): Summary {
  const total: Restarts = { ...init.sidecars }
  let { ready } = init
  let status = first
  let hasRunning = false
  for (const each of (pod.status?.containerStatuses ?? []).toReversed()) {
    count(total, each)
    if (each.state?.waiting?.reason) {
      status = each.state.waiting.reason
    } else if (each.state?.terminated) {
      status = endReason(each)
    } else if (each.ready && each.state?.running) {
      hasRunning = true
      ready++
    }
  }
  if (status === 'Completed' && hasRunning) status = isPodReady(pod) ? 'Running' : 'NotReady'
  return { ...total, status, ready }
}

function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always'
}

function count(total: Restarts, status: ContainerStatus): void {
  total.restarts += status.restartCount
  const end = parseTime(status.lastState?.terminated?.finishedAt)
  if (end !== undefined && (total.lastEnd === undefined || total.lastEnd < end)) {
    total.lastEnd = end
  }
}

function endReason(status: ContainerStatus): string {
  const ended = status.state?.terminated
  if (ended?.reason) return ended.reason
  return ended?.signal ? `Signal:${ended.signal}` : `ExitCode:${ended?.exitCode ?? 0}`
}
