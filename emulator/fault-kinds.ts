// The faults that can be caused on purpose, by name: what each needs and does. For the server side
// (faults.ts) and the command line (fault.ts).

export interface FaultKind {
  /** What is named after it. */
  target: 'node' | 'pod' | 'none'
  does: string
  /** What may stand after the name. */
  value?: { name: string; default: string; pattern: RegExp }
}

export const FAULT_KINDS = {
  'vm-kill': { target: 'node', does: 'cut the power of a VM, as when its host breaks' },
  'vm-hang': {
    target: 'node',
    does: 'a VM stands still: it answers nobody, yet the cloud sees it run',
  },
  'vm-resume': { target: 'node', does: 'a VM that stands still goes on where it was' },
  'vm-stop': {
    target: 'node',
    does: 'stop a VM, as somebody in the Cloud Console: 30 s to shut down',
  },
  'vm-preempt': {
    target: 'node',
    does: 'take a VM back, as Google does with Spot VMs: 30 s notice',
  },
  'container-kill': {
    target: 'pod',
    does: 'kill the containers of a pod (NAME or NAMESPACE/NAME)',
  },
  'agent-kill': { target: 'node', does: 'kill the node agent of a VM' },
  'docker-kill': { target: 'node', does: 'kill the Docker Engine of a VM' },
  partition: {
    target: 'node',
    does: 'cut a VM off: its packets are lost, both ways or one (send, receive)',
    value: { name: 'WAY', default: 'both', pattern: /^(?:both|send|receive)$/ },
  },
  delay: {
    target: 'node',
    does: 'packets for a VM take longer (milliseconds)',
    value: { name: 'MS', default: '100', pattern: /^\d{1,5}$/ },
  },
  loss: {
    target: 'node',
    does: 'packets of a VM get lost (percent)',
    value: { name: 'PERCENT', default: '30', pattern: /^(?:\d{1,2}|100)$/ },
  },
  'full-disk': { target: 'node', does: "fill a VM's disk" },
  'slow-disk': {
    target: 'node',
    does: 'a VM reads and writes its disk slowly (KB a second)',
    value: { name: 'KBPS', default: '512', pattern: /^[1-9]\d{0,6}$/ },
  },
  'cpu-load': {
    target: 'node',
    does: 'programs that only count take the processors of a VM (how many)',
    value: { name: 'PROGRAMS', default: '8', pattern: /^[1-9]\d?$/ },
  },
  'check-flap': {
    target: 'node',
    does: "Google's health checks of a VM fail and succeed in turns; it is well",
  },
  'stock-out': { target: 'none', does: 'the zone has no machine left: new VMs are refused' },
  quota: { target: 'none', does: "the project's quota is used up: new VMs are refused" },
  'control-plane-away': {
    target: 'none',
    does: 'the control plane is away: its API answers nobody, its functions do not run',
  },
  'control-plane-back': { target: 'none', does: 'the control plane is there again' },
  heal: {
    target: 'none',
    does: 'undo all that lasts: hung, cut off, slow, busy, full, flapping, sold out, away',
  },
} as const satisfies Record<string, FaultKind>

export type FaultName = keyof typeof FAULT_KINDS

export function isFaultName(name: string): name is FaultName {
  return Object.hasOwn(FAULT_KINDS, name)
}

/** What `GET /faults` answers. */
export interface FaultTargets {
  nodes: { name: string; status: string; isHung: boolean }[]
  /** `namespace/name`. */
  pods: string[]
}

/** The name that was most likely meant; undefined when none is near. */
export function nearest(word: string, names: readonly string[]): string | undefined {
  const ranked = names
    .map((name) => ({ name, far: distance(word.toLowerCase(), name.toLowerCase()) }))
    .sort((left, right) => left.far - right.far)
  const [best] = ranked
  const isNear = best && best.far <= Math.max(2, Math.floor(best.name.length / 3))
  // The end of a generated name is what people remember of it.
  return isNear ? best.name : names.find((name) => word.length > 2 && name.includes(word))
}

/** How many letters must be changed, added or left out to make one word the other. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [index, letter] of from.split('').entries()) {
    const next = [index + 1]
    for (let column = 1; column <= to.length; column++) {
      const replaced = (row[column - 1] ?? 0) + (to[column - 1] === letter ? 0 : 1)
      next.push(Math.min(replaced, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}
