// How much a machine type has, and how much of it pods may use: what GKE keeps for the system.
// https://cloud.google.com/compute/docs/machine-resource
// https://cloud.google.com/kubernetes-engine/docs/concepts/plan-node-sizes#memory_and_cpu_reservations

export interface Capacity {
  cpuMillis: number
  memoryBytes: number
}

const MI = 2 ** 20
const GI = 2 ** 30

/** Two vCPUs that may be used in bursts; pods may ask for 940m, as on GKE. */
const SHARED_CORE: Readonly<Record<string, number>> = {
  'e2-micro': 1,
  'e2-small': 2,
  'e2-medium': 4,
  'f1-micro': 0.6,
  'g1-small': 1.7,
}

/** GiB per vCPU by series; series not named here have the usual 4, 8 and 1. */
const GIB_PER_CPU: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  n1: { standard: 3.75, highmem: 6.5, highcpu: 0.9 },
  c2: { standard: 4 },
  c3: { standard: 4, highmem: 8, highcpu: 2 },
  c4: { standard: 3.75, highmem: 7.75, highcpu: 2 },
  n4: { standard: 4, highmem: 8, highcpu: 2 },
}
const USUAL: Readonly<Record<string, number>> = { standard: 4, highmem: 8, highcpu: 1 }

/** What a machine type has; a name that is not understood counts as e2-medium. */
export function capacityOf(machineType: string): Capacity {
  const shared = SHARED_CORE[machineType]
  if (shared) return { cpuMillis: 2000, memoryBytes: shared * GI }
  const custom = /^(?:[a-z0-9]+-)?custom-(\d+)-(\d+)/.exec(machineType)
  if (custom) return { cpuMillis: Number(custom[1]) * 1000, memoryBytes: Number(custom[2]) * MI }
  const match = /^([a-z]\d[a-z]?)-(standard|highmem|highcpu)-(\d+)/.exec(machineType)
  if (!match) return { cpuMillis: 2000, memoryBytes: 4 * GI }
  const [, series = '', kind = '', cpus] = match
  const perCpu = GIB_PER_CPU[series]?.[kind] ?? USUAL[kind] ?? 4
  return { cpuMillis: Number(cpus) * 1000, memoryBytes: Number(cpus) * perCpu * GI }
}

/** What of it pods may ask for. */
export function allocatableOf(machineType: string): Capacity {
  const { cpuMillis, memoryBytes } = capacityOf(machineType)
  const cpu = SHARED_CORE[machineType] ? 940 : cpuMillis - reservedCpu(cpuMillis)
  return { cpuMillis: cpu, memoryBytes: memoryBytes - reservedMemory(memoryBytes) }
}

/** 6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 % of the rest. */
function reservedCpu(millis: number): number {
  return Math.round(steps(millis / 1000, [1, 1, 2], [0.06, 0.01, 0.005], 0.0025) * 1000)
}

/** 25 % of the first 4 GiB, 20 % of 4, 10 % of 8, 6 % of 112, 2 % of the rest; 100 MiB to evict. */
function reservedMemory(bytes: number): number {
  if (bytes < GI) return 255 * MI
  const gib = steps(bytes / GI, [4, 4, 8, 112], [0.25, 0.2, 0.1, 0.06], 0.02)
  return Math.round((gib * GI + 100 * MI) / MI) * MI
}

function steps(total: number, widths: number[], shares: number[], restShare: number): number {
  let left = total
  let sum = 0
  for (const [index, width] of widths.entries()) {
    const part = Math.min(left, width)
    sum += part * (shares[index] ?? 0)
    left -= part
  }
  return sum + left * restShare
}
