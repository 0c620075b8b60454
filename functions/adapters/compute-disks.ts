// The Disks driver on Google Compute Engine: persistent disks, and attaching them to VMs.
// https://cloud.google.com/compute/docs/reference/rest/v1/disks

import type { protos } from '@google-cloud/compute'
import type { Disk, DiskAttachment, Disks, DiskSpec } from '#shared/ports/disks.ts'
import { isReason, StatusError } from '#shared/status.ts'
import { needAnswer } from './compute-answers.ts'
import { lastPart } from './compute-calls.ts'
import { unlessGone, unlessThere, type GroupContext } from './compute-groups.ts'

type Context = Omit<GroupContext, 'image'>
type GoogleDisk = protos.google.cloud.compute.v1.IDisk
type GoogleInstance = protos.google.cloud.compute.v1.IInstance

export function createComputeDisks(context: Context): Disks {
  return {
    create: (spec) => create(context, spec),
    get: (name, zone) => find(context, name, zone),
    resize: (name, zone, sizeGb) => resize(context, name, zone, sizeGb),
    delete: (name, zone) => remove(context, name, zone),
    attach: (attachment) => attach(context, attachment),
    detach: (name, zone, vm) => detach(context, name, zone, vm),
    list: (labels) => list(context, labels),
  }
}

async function create(context: Context, spec: DiskSpec): Promise<Disk> {
  const { project, calls, clients } = context
  const { name, zone, sizeGb, type, labels, description } = spec
  const disks = await clients.disks()
  if (!(await find(context, name, zone))) {
    await unlessThere(() =>
      calls.change(`insert disks/${name}`, (requestId, options) =>
        disks.insert(
          {
            project,
            zone,
            requestId,
            diskResource: {
              name,
              description,
              sizeGb,
              type: `projects/${project}/zones/${zone}/diskTypes/${type}`,
              labels,
            },
          },
          options,
        ),
      ),
    )
  }
  const disk = await need(context, name, zone)
  if (Object.entries(labels).every(([key, value]) => disk.labels[key] === value)) return disk
  throw new StatusError('Conflict', `insert disks/${name}: the disk belongs to somebody else`)
}

async function find(context: Context, name: string, zone: string): Promise<Disk | undefined> {
  const { project, calls, clients } = context
  const found = await calls.find(`get disks/${name}`, async (options) => {
    const disks = await clients.disks()
    const [disk] = await disks.get({ project, zone, disk: name }, options)
    return disk
  })
  return found && toDisk(found)
}

async function need(context: Context, name: string, zone: string): Promise<Disk> {
  const disk = await find(context, name, zone)
  if (disk) return disk
  throw new StatusError('NotFound', `The resource 'zones/${zone}/disks/${name}' was not found`)
}

async function resize(context: Context, name: string, zone: string, sizeGb: number): Promise<Disk> {
  const { project, calls, clients } = context
  const present = await need(context, name, zone)
  if (present.sizeGb >= sizeGb) return present
  const disks = await clients.disks()
  await calls.change(`resize disks/${name}`, (requestId, options) =>
    disks.resize(
      { project, zone, disk: name, requestId, disksResizeRequestResource: { sizeGb } },
      options,
    ),
  )
  return need(context, name, zone)
}

async function remove(
  { project, calls, clients }: Context,
  name: string,
  zone: string,
): Promise<void> {
  await unlessGone(async () => {
    const disks = await clients.disks()
    await calls.change(`delete disks/${name}`, (requestId, options) =>
      disks.delete({ project, zone, disk: name, requestId }, options),
    )
  })
}

async function attach(context: Context, attachment: DiskAttachment): Promise<{ vmId: string }> {
  const { project, calls, clients } = context
  const { disk, zone, vm, deviceName, isReadOnly } = attachment
  const present = await instanceOf(context, vm, zone)
  if (!present) {
    throw new StatusError('NotFound', `The resource 'zones/${zone}/instances/${vm}' was not found`)
  }
  if (deviceOf(present, disk) !== undefined) return { vmId: String(present.id) }
  const instances = await clients.instances()
  await calls.change(`attachDisk ${disk} to ${vm}`, (requestId, options) =>
    instances.attachDisk(
      {
        project,
        zone,
        instance: vm,
        requestId,
        attachedDiskResource: {
          source: `projects/${project}/zones/${zone}/disks/${disk}`,
          deviceName,
          mode: isReadOnly ? 'READ_ONLY' : 'READ_WRITE',
          autoDelete: false,
        },
      },
      options,
    ),
  )
  // Another VM of that name may have come meanwhile: it counts where the disk is now.
  const after = await instanceOf(context, vm, zone)
  if (after && deviceOf(after, disk) !== undefined) return { vmId: String(after.id) }
  throw new StatusError('ServiceUnavailable', `attachDisk ${disk}: ${vm} was replaced meanwhile`)
}

async function detach(context: Context, name: string, zone: string, vm: string): Promise<void> {
  const { project, calls, clients } = context
  const present = await instanceOf(context, vm, zone)
  const deviceName = present && deviceOf(present, name)
  if (deviceName === undefined) return
  const instances = await clients.instances()
  try {
    await calls.change(`detachDisk ${name} from ${vm}`, (requestId, options) =>
      instances.detachDisk({ project, zone, instance: vm, deviceName, requestId }, options),
    )
  } catch (error) {
    // The VM, or the device, went meanwhile: then it is not attached there any more.
    const isOff = isReason(error, 'NotFound') || isReason(error, 'BadRequest')
    const after = isOff ? await instanceOf(context, vm, zone) : present
    if (after && deviceOf(after, name) !== undefined) throw error
  }
}

function instanceOf(
  { project, calls, clients }: Context,
  vm: string,
  zone: string,
): Promise<GoogleInstance | undefined> {
  return calls.find(`get instances/${vm}`, async (options) => {
    const instances = await clients.instances()
    const [instance] = await instances.get({ project, zone, instance: vm }, options)
    return instance
  })
}

/** The device name under which a VM has the disk. */
function deviceOf(instance: GoogleInstance, disk: string): string | undefined {
  const found = instance.disks?.find(({ source }) => lastPart(source) === disk)
  return found ? (found.deviceName ?? disk) : undefined
}

async function list(context: Context, labels: Record<string, string>): Promise<Disk[]> {
  const { project, calls, clients } = context
  const filter = Object.entries(labels)
    .map(([key, value]) => `(labels.${key} = "${value}")`)
    .join(' ')
  const disks = await clients.disks()
  const found = await calls.read('list disks', async (options) => {
    const all: GoogleDisk[] = []
    const pages = disks.aggregatedListAsync(
      { project, filter },
      { ...options, autoPaginate: false },
    )
    for await (const [scope, { disks: some, warning }] of pages) {
      needAnswer(scope, warning)
      all.push(...(some ?? []))
    }
    return all
  })
  return found.map(toDisk).toSorted((left, right) => (left.name < right.name ? -1 : 1))
}

function toDisk(disk: GoogleDisk): Disk {
  return {
    name: disk.name ?? '',
    zone: lastPart(disk.zone),
    sizeGb: Number(disk.sizeGb),
    type: lastPart(disk.type),
    labels: disk.labels ?? {},
    users: (disk.users ?? []).map(lastPart),
  }
}
