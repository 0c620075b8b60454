// The VMs of node pools as Compute Engine lists them, with what their groups' health checks say.

import type { protos } from '@google-cloud/compute'
import type { Instance, InstanceStatus } from '#shared/ports/compute.ts'
import { isReason } from '#shared/status.ts'
import { groupOf, healthFrom, needAnswer } from './compute-answers.ts'
import { lastPart } from './compute-calls.ts'
import type { GroupContext } from './compute-groups.ts'

type Context = Omit<GroupContext, 'image'>
type GoogleInstance = protos.google.cloud.compute.v1.IInstance

export async function listInstances(
  context: Context,
  labels: Record<string, string>,
): Promise<Instance[]> {
  const { project, calls, clients } = context
  const instances = await clients.instances()
  const filter = Object.entries(labels)
    .map(([key, value]) => `(labels.${key} = "${value}")`)
    .join(' ')
  const found = await calls.read('list instances', async (options) => {
    const all: GoogleInstance[] = []
    const pages = instances.aggregatedListAsync(
      { project, filter },
      { ...options, autoPaginate: false },
    )
    for await (const [scope, { instances: some, warning }] of pages) {
      needAnswer(scope, warning)
      all.push(...(some ?? []))
    }
    return all
  })
  const health = await healthOf(context, found)
  return found
    .map((instance) => toInstance(instance, health.get(String(instance.id))))
    .toSorted((left, right) => (left.name < right.name ? -1 : 1))
}

/** Deletes one VM of a group; with `shrink` for good, otherwise the group makes it anew. */
export async function deleteInstance(
  context: Context,
  target: { group: string; zone: string; instance: string; shrink: boolean },
): Promise<void> {
  const { project, calls, clients } = context
  const { group, zone, instance, shrink } = target
  const present = await calls.find(`get instances/${instance}`, async (options) => {
    const instances = await clients.instances()
    const [found] = await instances.get({ project, zone, instance }, options)
    return found
  })
  if (!present) return
  const groups = await clients.groups()
  const about = { project, zone, instanceGroupManager: group }
  const links = [`zones/${zone}/instances/${instance}`]
  try {
    if (shrink) {
      await calls.change(`deleteInstances ${group}: ${instance}`, (requestId, options) =>
        groups.deleteInstances(
          {
            ...about,
            requestId,
            instanceGroupManagersDeleteInstancesRequestResource: { instances: links },
          },
          options,
        ),
      )
    } else {
      await calls.change(`recreateInstances ${group}: ${instance}`, (requestId, options) =>
        groups.recreateInstances(
          {
            ...about,
            requestId,
            instanceGroupManagersRecreateInstancesRequestResource: { instances: links },
          },
          options,
        ),
      )
    }
  } catch (error) {
    // It left the group meanwhile: an earlier call for the same VM is at work.
    if (!isReason(error, 'BadRequest') && !isReason(error, 'NotFound')) throw error
  }
}

/** By instance id: one call for each group that has VMs in the list. */
async function healthOf(
  { project, calls, clients }: Context,
  instances: GoogleInstance[],
): Promise<Map<string, boolean>> {
  const health = new Map<string, boolean>()
  const groups = new Set(instances.flatMap((instance) => groupOf(instance) ?? []))
  for (const link of groups) {
    const [, zone = '', name = ''] =
      /zones\/([^/]+)\/instanceGroupManagers\/([^/]+)$/.exec(link) ?? []
    const client = await clients.groups()
    const members = await calls.find(`listManagedInstances ${name}`, async (options) => {
      const [all] = await client.listManagedInstances(
        { project, zone, instanceGroupManager: name },
        options,
      )
      return all
    })
    for (const { id, instanceHealth } of members ?? []) {
      const isHealthy = healthFrom(instanceHealth?.[0]?.detailedHealthState)
      if (id && isHealthy !== undefined) health.set(String(id), isHealthy)
    }
  }
  return health
}

const STATUSES: Record<string, InstanceStatus> = {
  PROVISIONING: 'PROVISIONING',
  STAGING: 'STAGING',
  RUNNING: 'RUNNING',
  STOPPING: 'STOPPING',
  STOPPED: 'STOPPED',
  TERMINATED: 'TERMINATED',
  SUSPENDING: 'SUSPENDED',
  SUSPENDED: 'SUSPENDED',
  REPAIRING: 'REPAIRING',
  DEPROVISIONING: 'STOPPING',
  PENDING_STOP: 'STOPPING',
}

function toInstance(instance: GoogleInstance, isHealthy: boolean | undefined): Instance {
  const [nic] = instance.networkInterfaces ?? []
  const externalIp = nic?.accessConfigs?.[0]?.natIP
  return {
    name: instance.name ?? '',
    zone: lastPart(instance.zone),
    id: String(instance.id),
    status: STATUSES[instance.status ?? ''] ?? 'REPAIRING',
    creationTimestamp: instance.creationTimestamp ?? '',
    internalIp: nic?.networkIP ?? '',
    ...(externalIp ? { externalIp } : {}),
    machineType: lastPart(instance.machineType),
    labels: instance.labels ?? {},
    ...(isHealthy === undefined ? {} : { isHealthy }),
  }
}
