// Persistent disks as a map, for tests and simulation. The VMs are those of a Compute driver; a disk
// that is attached to a VM which is no more is free.

import type { Compute } from '#shared/ports/compute.ts'
import type { Disk, Disks, DiskSpec } from '#shared/ports/disks.ts'
import { StatusError } from '#shared/status.ts'

export interface MemoryDisksOptions {
  /** The VMs; all of them carry no labels that would matter here. */
  compute: Pick<Compute, 'listInstances'>
}

/** The port, and what tests ask of it. */
export interface MemoryDisks extends Disks {
  /** Calls of these methods are refused with this from now on; undefined: no longer. */
  failWith(error: StatusError | undefined, ...methods: (keyof Disks)[]): void
  all(): Disk[]
  /** Calls that were made, oldest first, e.g. `attach pvc-1 vm-1`. */
  readonly calls: readonly string[]
}

interface Stored {
  spec: DiskSpec
  users: { vm: string; vmId: string; isReadOnly: boolean }[]
}

export function createMemoryDisks({ compute }: MemoryDisksOptions): MemoryDisks {
  const disks = new Map<string, Stored>()
  const calls: string[] = []
  const failures = new Map<string, StatusError>()

  function called(method: keyof Disks, ...about: string[]): void {
    calls.push([method, ...about].join(' '))
    const failure = failures.get(method)
    if (failure) throw failure
  }

  /** Whoever is gone lets go. */
  async function settled(): Promise<Map<string, string>> {
    const vms = new Map((await compute.listInstances({})).map(({ name, id }) => [name, id]))
    for (const disk of disks.values()) {
      disk.users = disk.users.filter(({ vm, vmId }) => vms.get(vm) === vmId)
    }
    return vms
  }

  function need(name: string, zone: string): Stored {
    const found = disks.get(`${zone}/${name}`)
    if (found) return found
    throw new StatusError('NotFound', `The resource 'zones/${zone}/disks/${name}' was not found`)
  }

  return {
    calls,
    async create(spec) {
      called('create', spec.name)
      await settled()
      const key = `${spec.zone}/${spec.name}`
      const present = disks.get(key)
      if (present && !isOurs(present.spec, spec)) {
        throw new StatusError('Conflict', `The disk '${spec.name}' belongs to somebody else`)
      }
      const stored = present ?? { spec: structuredClone(spec), users: [] }
      disks.set(key, stored)
      return show(stored)
    },
    async get(name, zone) {
      called('get', name)
      await settled()
      const found = disks.get(`${zone}/${name}`)
      return found && show(found)
    },
    async resize(name, zone, sizeGb) {
      called('resize', name, String(sizeGb))
      const disk = need(name, zone)
      disk.spec.sizeGb = Math.max(disk.spec.sizeGb, sizeGb)
      return show(disk)
    },
    async delete(name, zone) {
      called('delete', name)
      await settled()
      const [user] = disks.get(`${zone}/${name}`)?.users ?? []
      if (user) {
        throw new StatusError(
          'Conflict',
          `The disk resource '${name}' is already being used by '${user.vm}'`,
        )
      }
      disks.delete(`${zone}/${name}`)
    },
    async attach({ disk: name, zone, vm, isReadOnly }) {
      called('attach', name, vm)
      const vms = await settled()
      const disk = need(name, zone)
      const vmId = vms.get(vm)
      if (vmId === undefined) {
        throw new StatusError(
          'NotFound',
          `The resource 'zones/${zone}/instances/${vm}' was not found`,
        )
      }
      if (disk.users.some((user) => user.vm === vm)) return { vmId }
      const rival = disk.users.find((user) => !(user.isReadOnly && isReadOnly))
      if (rival) {
        throw new StatusError(
          'Conflict',
          `The disk resource '${name}' is already being used by '${rival.vm}'`,
        )
      }
      disk.users.push({ vm, vmId, isReadOnly })
      return { vmId }
    },
    async detach(name, zone, vm) {
      called('detach', name, vm)
      const disk = disks.get(`${zone}/${name}`)
      if (disk) disk.users = disk.users.filter((user) => user.vm !== vm)
    },
    async list(labels) {
      called('list', Object.values(labels).join(' '))
      await settled()
      return [...disks.values()]
        .map(show)
        .filter((disk) =>
          Object.entries(labels).every(([key, value]) => disk.labels[key] === value),
        )
        .toSorted((left, right) => (left.name < right.name ? -1 : 1))
    },
    failWith(error, ...methods) {
      for (const method of methods) {
        if (error) failures.set(method, error)
        else failures.delete(method)
      }
    },
    all: () => [...disks.values()].map(show),
  }
}

function isOurs(present: DiskSpec, wanted: DiskSpec): boolean {
  return Object.entries(wanted.labels).every(([key, value]) => present.labels[key] === value)
}

function show({ spec, users }: Stored): Disk {
  const { description: _, ...disk } = structuredClone(spec)
  return { ...disk, users: users.map(({ vm }) => vm) }
}
