// Compute Engine as a handful of maps, for tests and simulation: no network, no machines, the time
// comes from the clock. What it answers is what the emulator behind the real client answers.

import { safeName } from '#shared/hash.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type {
  Compute,
  Instance,
  InstanceGroup,
  InstanceGroupSpec,
  LoadBalancer,
  LoadBalancerSpec,
} from '#shared/ports/compute.ts'
import { StatusError } from '#shared/status.ts'
import { formatTime } from '#shared/time.ts'

export interface MemoryComputeOptions {
  clock: Clock
  /** How long a VM is PROVISIONING before it runs. */
  bootMs?: number
}

/** The port, and what tests do to it. */
export interface MemoryCompute extends Compute {
  /** The VM breaks; its group makes a new one of the same name. */
  killVm(name: string): void
  setHealth(name: string, isHealthy: boolean | undefined): void
  /** Calls of these methods are refused with this from now on; undefined: no longer. */
  failWith(error: StatusError | undefined, ...methods: (keyof Compute)[]): void
  loadBalancers(): LoadBalancerSpec[]
  groups(): InstanceGroupSpec[]
  /** Calls that were made, oldest first, e.g. `applyInstanceGroup gke-a-grp`. */
  readonly calls: readonly string[]
}

interface Vm {
  instance: Instance
  group: string
  runsAtMs: number
}

interface Group {
  spec: InstanceGroupSpec
  named: number
}

export function createMemoryCompute({ clock, bootMs = 0 }: MemoryComputeOptions): MemoryCompute {
  const groups = new Map<string, Group>()
  const vms = new Map<string, Vm>()
  const balancers = new Map<string, { spec: LoadBalancerSpec; address: string }>()
  const calls: string[] = []
  const failures = new Map<string, StatusError>()
  let ids = 0
  let hosts = 1

  function called(method: keyof Compute, about: string): void {
    calls.push(`${method} ${about}`.trim())
    const failure = failures.get(method)
    if (failure) throw failure
  }

  function boot(name: string, group: Group): void {
    const { spec } = group
    const host = ++hosts
    vms.set(name, {
      group: keyOf(spec),
      runsAtMs: clock.now() + bootMs,
      instance: {
        name,
        zone: spec.zone,
        id: String(1_000_000 + ids++),
        status: 'PROVISIONING',
        creationTimestamp: formatTime(clock.now()),
        internalIp: `10.128.${host >> 8}.${host & 255}`,
        externalIp: `127.0.${2 + (host >> 8)}.${host & 255}`,
        machineType: spec.machineType,
        labels: spec.labels,
      },
    })
  }

  function membersOf(key: string): [string, Vm][] {
    return [...vms].filter(([, vm]) => vm.group === key)
  }

  function resize(group: Group): void {
    const { spec } = group
    const members = membersOf(keyOf(spec))
    for (let count = members.length; count < spec.size; count++) {
      boot(`${spec.baseInstanceName}-${safeName(4, spec.name, group.named++)}`, group)
    }
    for (const [name] of members.slice(spec.size)) vms.delete(name)
  }

  function show(group: Group): InstanceGroup {
    const { spec } = group
    const members = membersOf(keyOf(spec))
    return {
      name: spec.name,
      zone: spec.zone,
      targetSize: spec.size,
      isStable: members.every(([, vm]) => vm.runsAtMs <= clock.now()),
      template: `${spec.name}-${safeName(8, templateOf(spec))}`,
    }
  }

  function addressFor(spec: LoadBalancerSpec): string {
    const taken = new Set([...balancers.values()].map(({ address }) => address))
    if (spec.address && taken.has(spec.address)) {
      throw new StatusError(
        'BadRequest',
        `Specified IP address is already in-use.: '${spec.address}'`,
      )
    }
    if (spec.address) return spec.address
    let low = 1
    while (taken.has(`127.0.1.${low}`)) low++
    return `127.0.1.${low}`
  }

  return {
    calls,
    async applyInstanceGroup(spec) {
      called('applyInstanceGroup', spec.name)
      const group = groups.get(keyOf(spec)) ?? { spec, named: 0 }
      group.spec = structuredClone(spec)
      groups.set(keyOf(spec), group)
      for (const [, vm] of membersOf(keyOf(spec))) vm.instance.labels = spec.labels
      resize(group)
      return show(group)
    },
    async deleteInstanceGroup(name, zone) {
      called('deleteInstanceGroup', name)
      const user = [...balancers.values()].find(({ spec }) =>
        spec.groups.some((one) => one.name === name && one.zone === zone),
      )
      if (user) {
        throw new StatusError(
          'Conflict',
          `The instance group '${name}' is already being used by '${user.spec.name}'`,
        )
      }
      groups.delete(keyOf({ name, zone }))
      for (const [vm] of membersOf(keyOf({ name, zone }))) vms.delete(vm)
    },
    async listInstances(labels) {
      called('listInstances', Object.values(labels).join(' '))
      return [...vms.values()]
        .map(({ instance, runsAtMs }) => ({
          ...instance,
          status: runsAtMs <= clock.now() ? ('RUNNING' as const) : instance.status,
        }))
        .filter((vm) => Object.entries(labels).every(([key, value]) => vm.labels[key] === value))
        .toSorted((left, right) => (left.name < right.name ? -1 : 1))
    },
    async deleteInstance(group, zone, instance, shrink) {
      called('deleteInstance', instance)
      const found = groups.get(keyOf({ name: group, zone }))
      const vm = vms.get(instance)
      if (!found || vm?.group !== keyOf({ name: group, zone })) return
      vms.delete(instance)
      if (shrink) found.spec.size--
      else boot(instance, found)
    },
    async applyLoadBalancer(spec) {
      called('applyLoadBalancer', spec.name)
      for (const group of spec.groups) {
        if (!groups.has(keyOf(group))) {
          throw new StatusError('NotFound', `The instance group '${group.name}' was not found`)
        }
      }
      const present = balancers.get(spec.name)
      const isKept = present && (!spec.address || spec.address === present.address)
      const address = isKept ? present.address : addressFor(spec)
      balancers.set(spec.name, { spec: structuredClone(spec), address })
      return { name: spec.name, region: spec.region, address }
    },
    async deleteLoadBalancer(name) {
      called('deleteLoadBalancer', name)
      balancers.delete(name)
    },
    async listLoadBalancers(prefix): Promise<LoadBalancer[]> {
      called('listLoadBalancers', prefix)
      return [...balancers.values()]
        .map(({ spec, address }) => ({ name: spec.name, region: spec.region, address }))
        .filter(({ name }) => name.startsWith(prefix))
    },
    async ping() {
      called('ping', '')
    },
    killVm(name) {
      const group = groups.get(vms.get(name)?.group ?? '')
      if (!group) throw new Error(`no VM ${name}`)
      boot(name, group)
    },
    setHealth(name, isHealthy) {
      const vm = vms.get(name)
      if (!vm) throw new Error(`no VM ${name}`)
      if (isHealthy === undefined) delete vm.instance.isHealthy
      else vm.instance.isHealthy = isHealthy
    },
    failWith(error, ...methods) {
      for (const method of methods) {
        if (error) failures.set(method, error)
        else failures.delete(method)
      }
    },
    loadBalancers: () => [...balancers.values()].map(({ spec }) => spec),
    groups: () => [...groups.values()].map(({ spec }) => spec),
  }
}

function keyOf({ name, zone }: { name: string; zone: string }): string {
  return `${zone}/${name}`
}

/** The part of a spec that makes another template. */
function templateOf(spec: InstanceGroupSpec): string {
  const { machineType, diskSizeGb, spot, labels, metadata } = spec
  return JSON.stringify([machineType, diskSizeGb, spot, labels, metadata])
}
