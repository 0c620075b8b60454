// A node pool on Compute Engine: instance template, health check and zonal managed instance group.

import type { protos } from '@google-cloud/compute'
import { safeName } from '#shared/hash.ts'
import type { HealthCheckSpec, InstanceGroup, InstanceGroupSpec } from '#shared/ports/compute.ts'
import { isReason, StatusError } from '#shared/status.ts'
import { lastPart, type ComputeCalls } from './compute-calls.ts'
import type { ComputeClients } from './compute-clients.ts'

type Group = protos.google.cloud.compute.v1.IInstanceGroupManager
type Properties = protos.google.cloud.compute.v1.IInstanceProperties

/** What VMs are made of beside their pool's wishes. */
export interface VmImage {
  /** `projects/cos-cloud/global/images/family/cos-stable`. */
  sourceImage: string
  /** `global/networks/default`. */
  network: string
  /** Name of the subnetwork in each region; absent: the network chooses (auto mode). */
  subnetwork?: string
  /** E-mail of the VMs' service account; absent: the project's default. */
  serviceAccount?: string
  /** Network tags of every VM, which firewall rules go by. */
  tags?: readonly string[]
  /** Name of the subnetwork's secondary range from which each VM gets a /24 for its pods. */
  podRangeName: string
}

export interface GroupContext {
  project: string
  clients: ComputeClients
  calls: ComputeCalls
  image: VmImage
}

const FINGERPRINT_ATTEMPTS = 5

/**
 * Wherry decides what happens to a VM whose agent is unwell; Google repairs what is gone. Changed
 * metadata and labels reach running VMs in place; anything that needs a restart waits for new VMs.
 */
const POLICIES = {
  instanceLifecyclePolicy: { defaultActionOnFailure: 'REPAIR', onFailedHealthCheck: 'DO_NOTHING' },
  updatePolicy: {
    type: 'PROACTIVE',
    minimalAction: 'REFRESH',
    mostDisruptiveAllowedAction: 'REFRESH',
    maxSurge: { fixed: 0 },
    maxUnavailable: { fixed: 1 },
  },
} as const

/** How long Google waits before a new VM's health counts: it boots, and pulls the agent's image. */
const INITIAL_DELAY_SEC = 120

export async function applyInstanceGroup(
  context: GroupContext,
  spec: InstanceGroupSpec,
): Promise<InstanceGroup> {
  const properties = propertiesOf(context, spec)
  // Templates cannot be changed: another content is another template.
  const template = `${spec.name}-${safeName(8, JSON.stringify(properties))}`
  const region = regionOf(spec.zone)
  await ensureHealthCheck(context, { name: spec.name, region, spec: spec.healthCheck })
  await ensureTemplate(context, template, properties)
  const wanted = groupOf(context, spec, template)
  const before = await getGroup(context, spec)
  if (!before) await insertGroup(context, spec, wanted)
  else await updateGroup(context, spec, wanted, before)
  if (before && lastPart(before.instanceTemplate) !== template) {
    await removeTemplates(context, spec.name, template)
  }
  const group = await getGroup(context, spec)
  if (!group)
    throw new StatusError('ServiceUnavailable', `the instance group ${spec.name} has gone`)
  return describe(context, spec, group)
}

export async function deleteInstanceGroup(
  context: GroupContext,
  name: string,
  zone: string,
): Promise<void> {
  const { project, calls, clients } = context
  const groups = await clients.groups()
  await unlessGone(() =>
    calls.change(`delete instanceGroupManagers/${name}`, (requestId, options) =>
      groups.delete({ project, zone, instanceGroupManager: name, requestId }, options),
    ),
  )
  await removeTemplates(context, name)
  await deleteHealthCheck(context, name, regionOf(zone))
}

async function describe(
  context: GroupContext,
  spec: InstanceGroupSpec,
  group: Group,
): Promise<InstanceGroup> {
  const isStable = group.status?.isStable === true
  const lastError = isStable ? undefined : await lastErrorOf(context, spec)
  return {
    name: spec.name,
    zone: spec.zone,
    targetSize: group.targetSize ?? 0,
    isStable,
    template: lastPart(group.instanceTemplate),
    ...(lastError === undefined ? {} : { lastError }),
  }
}

async function lastErrorOf(
  { project, calls, clients }: GroupContext,
  { name, zone }: InstanceGroupSpec,
): Promise<string | undefined> {
  const groups = await clients.groups()
  const [members] = await calls.read(`listManagedInstances ${name}`, (options) =>
    groups.listManagedInstances({ project, zone, instanceGroupManager: name }, options),
  )
  const errors = members.flatMap((member) => member.lastAttempt?.errors?.errors ?? [])
  const [error] = errors
  return error ? `${error.code}: ${error.message}` : undefined
}

function getGroup(
  { project, calls, clients }: GroupContext,
  { name, zone }: InstanceGroupSpec,
): Promise<Group | undefined> {
  return calls.find(`get instanceGroupManagers/${name}`, async (options) => {
    const groups = await clients.groups()
    const [group] = await groups.get({ project, zone, instanceGroupManager: name }, options)
    return group
  })
}

async function insertGroup(
  context: GroupContext,
  spec: InstanceGroupSpec,
  wanted: Group,
): Promise<void> {
  const { project, calls, clients } = context
  const groups = await clients.groups()
  try {
    await calls.change(`insert instanceGroupManagers/${spec.name}`, (requestId, options) =>
      groups.insert(
        { project, zone: spec.zone, requestId, instanceGroupManagerResource: wanted },
        options,
      ),
    )
  } catch (error) {
    // Somebody else was faster, or an earlier attempt had arrived after all.
    if (!isReason(error, 'AlreadyExists')) throw error
    const present = await getGroup(context, spec)
    if (present) await updateGroup(context, spec, wanted, present)
  }
}

async function updateGroup(
  context: GroupContext,
  spec: InstanceGroupSpec,
  wanted: Group,
  present: Group,
): Promise<void> {
  const { project, calls, clients } = context
  const { name, zone } = spec
  const groups = await clients.groups()
  let current: Group | undefined = present
  for (let count = 1; current && !isSame(current, wanted); count++) {
    const { fingerprint } = current
    try {
      await calls.change(`patch instanceGroupManagers/${name}`, (requestId, options) =>
        groups.patch(
          {
            project,
            zone,
            instanceGroupManager: name,
            requestId,
            instanceGroupManagerResource: { ...wanted, fingerprint: fingerprint ?? null },
          },
          options,
        ),
      )
      return
    } catch (error) {
      if (!isReason(error, 'Conflict') || count >= FINGERPRINT_ATTEMPTS) throw error
      current = await getGroup(context, spec)
    }
  }
}

function isSame(present: Group, wanted: Group): boolean {
  const [healing] = present.autoHealingPolicies ?? []
  const [wantedHealing] = wanted.autoHealingPolicies ?? []
  return (
    present.targetSize === wanted.targetSize &&
    lastPart(present.instanceTemplate) === lastPart(wanted.instanceTemplate) &&
    lastPart(healing?.healthCheck) === lastPart(wantedHealing?.healthCheck) &&
    present.updatePolicy?.type === POLICIES.updatePolicy.type &&
    present.updatePolicy.mostDisruptiveAllowedAction ===
      POLICIES.updatePolicy.mostDisruptiveAllowedAction &&
    present.instanceLifecyclePolicy?.onFailedHealthCheck ===
      POLICIES.instanceLifecyclePolicy.onFailedHealthCheck
  )
}

function groupOf({ project }: GroupContext, spec: InstanceGroupSpec, template: string): Group {
  const region = regionOf(spec.zone)
  return {
    name: spec.name,
    baseInstanceName: spec.baseInstanceName,
    targetSize: spec.size,
    instanceTemplate: `projects/${project}/global/instanceTemplates/${template}`,
    autoHealingPolicies: [
      {
        healthCheck: `projects/${project}/regions/${region}/healthChecks/${spec.name}`,
        initialDelaySec: INITIAL_DELAY_SEC,
      },
    ],
    ...POLICIES,
  }
}

function propertiesOf({ project, image }: GroupContext, spec: InstanceGroupSpec): Properties {
  return {
    machineType: spec.machineType,
    labels: spec.labels,
    metadata: {
      items: Object.entries(spec.metadata)
        .map(([key, value]) => ({ key, value }))
        .toSorted((left, right) => (left.key < right.key ? -1 : 1)),
    },
    disks: [
      {
        boot: true,
        autoDelete: true,
        initializeParams: { sourceImage: image.sourceImage, diskSizeGb: String(spec.diskSizeGb) },
      },
    ],
    networkInterfaces: [
      {
        network: image.network,
        ...(image.subnetwork
          ? {
              subnetwork: `projects/${project}/regions/${regionOf(spec.zone)}/subnetworks/${image.subnetwork}`,
            }
          : {}),
        accessConfigs: [{ name: 'External NAT', type: 'ONE_TO_ONE_NAT' }],
        aliasIpRanges: [{ ipCidrRange: '/24', subnetworkRangeName: image.podRangeName }],
      },
    ],
    // A VM that broke is not to come back by itself with the disk it had: the group makes a new one.
    scheduling: spec.spot
      ? {
          automaticRestart: false,
          onHostMaintenance: 'TERMINATE',
          preemptible: true,
          provisioningModel: 'SPOT',
        }
      : { automaticRestart: false, onHostMaintenance: 'MIGRATE', provisioningModel: 'STANDARD' },
    serviceAccounts: [
      {
        email: image.serviceAccount ?? 'default',
        scopes: ['https://www.googleapis.com/auth/cloud-platform'],
      },
    ],
    ...(image.tags ? { tags: { items: [...image.tags] } } : {}),
  }
}

async function ensureTemplate(
  { project, calls, clients }: GroupContext,
  name: string,
  properties: Properties,
): Promise<void> {
  const templates = await clients.templates()
  await unlessThere(() =>
    calls.change(`insert instanceTemplates/${name}`, (requestId, options) =>
      templates.insert(
        { project, requestId, instanceTemplateResource: { name, properties } },
        options,
      ),
    ),
  )
}

/** All templates of a group but one; those that VMs still need stay until the next time. */
async function removeTemplates(
  { project, calls, clients }: GroupContext,
  group: string,
  except?: string,
): Promise<void> {
  const templates = await clients.templates()
  const [found] = await calls.read(`list instanceTemplates of ${group}`, (options) =>
    templates.list({ project, filter: `name eq "${group}-[a-z0-9]{8}"` }, options),
  )
  for (const { name } of found) {
    if (!name || name === except) continue
    try {
      await calls.change(`delete instanceTemplates/${name}`, (requestId, options) =>
        templates.delete({ project, instanceTemplate: name, requestId }, options),
      )
    } catch (error) {
      if (!isReason(error, 'NotFound') && !isReason(error, 'Conflict')) throw error
    }
  }
}

/** Creates the regional health check or brings it to this port, path and interval. */
export async function ensureHealthCheck(
  { project, calls, clients }: Omit<GroupContext, 'image'>,
  { name, region, spec }: { name: string; region: string; spec: HealthCheckSpec },
): Promise<void> {
  const healthChecks = await clients.healthChecks()
  const find = () =>
    calls.find(`get healthChecks/${name}`, async (options) => {
      const [check] = await healthChecks.get({ project, region, healthCheck: name }, options)
      return check
    })
  const wanted = {
    name,
    type: 'HTTP',
    httpHealthCheck: {
      port: spec.port,
      requestPath: spec.path,
      portSpecification: 'USE_FIXED_PORT',
    },
    checkIntervalSec: spec.intervalSeconds,
    timeoutSec: Math.min(spec.intervalSeconds, 5),
    healthyThreshold: 1,
    unhealthyThreshold: 2,
    // Off by default, and the only news of a VM that no longer answers.
    logConfig: { enable: true },
  }
  const present = await find()
  if (!present) {
    await unlessThere(() =>
      calls.change(`insert healthChecks/${name}`, (requestId, options) =>
        healthChecks.insert({ project, region, requestId, healthCheckResource: wanted }, options),
      ),
    )
    return
  }
  const isSame =
    present.httpHealthCheck?.port === spec.port &&
    present.httpHealthCheck.requestPath === spec.path &&
    present.checkIntervalSec === spec.intervalSeconds
  if (isSame) return
  await calls.change(`patch healthChecks/${name}`, (requestId, options) =>
    healthChecks.patch(
      { project, region, healthCheck: name, requestId, healthCheckResource: wanted },
      options,
    ),
  )
}

export async function deleteHealthCheck(
  { project, calls, clients }: Omit<GroupContext, 'image'>,
  name: string,
  region: string,
): Promise<void> {
  const healthChecks = await clients.healthChecks()
  await unlessGone(() =>
    calls.change(`delete healthChecks/${name}`, (requestId, options) =>
      healthChecks.delete({ project, region, healthCheck: name, requestId }, options),
    ),
  )
}

/** Creating what is there succeeds: names say what they stand for. */
export async function unlessThere(create: () => Promise<void>): Promise<void> {
  try {
    await create()
  } catch (error) {
    if (!isReason(error, 'AlreadyExists')) throw error
  }
}

/** Deleting what is gone succeeds. */
export async function unlessGone(remove: () => Promise<void>): Promise<void> {
  try {
    await remove()
  } catch (error) {
    if (!isReason(error, 'NotFound')) throw error
  }
}

/** `us-east1` of `us-east1-c`. */
export function regionOf(zone: string): string {
  return zone.slice(0, zone.lastIndexOf('-'))
}
