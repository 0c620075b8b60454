// instances: insert, get, list, delete, stop, start, reset, setMetadata, setLabels.
// https://cloud.google.com/compute/docs/reference/rest/v1/instances

import type { Hono } from 'hono'
import { newVmAddresses } from './addressing.ts'
import type { AuditLog } from './audit-log.ts'
import { newNamed, type Context } from './context.ts'
import { GoogleError, resourceExists } from './google-error.ts'
import { readMetadata, readProperties } from './instance-properties.ts'
import { needName, textMapOf, textOf, type Json } from './json.ts'
import { linkTo, nameOf, pathOf, regionOfZone, scopeOf } from './links.ts'
import { machineType, quotasOf } from './places.ts'
import type { Power } from './power.ts'
import {
  addReadRoutes,
  changing,
  checkFingerprint,
  patternOf,
  resourceOfRequest,
  scopeOfRequest,
  type ResourceType,
} from './resource-routes.ts'
import { fingerprintOf, type Instance, type InstanceProperties, type Operation } from './state.ts'

export function instancesType(ctx: Context): ResourceType<Instance> {
  return {
    plural: 'instances',
    kind: 'compute#instance',
    scopeKind: 'zones',
    items: ctx.state.instances,
  }
}

export interface Instances {
  /** Makes the record and boots. Errors: alreadyExists, quotaExceeded, internalError. */
  create(path: string, properties: InstanceProperties): Promise<void>
  routes(app: Hono): void
}

export function createInstances(ctx: Context, power: Power, audit: AuditLog): Instances {
  const type = instancesType(ctx)

  function record(path: string, properties: InstanceProperties): Instance {
    if (type.items[path]) throw resourceExists(`projects/${ctx.project}/${path}`)
    checkStock(ctx, path)
    checkQuota(ctx, path, properties)
    const instance = newInstance(ctx, path, properties)
    type.items[path] = instance
    ctx.changed()
    return instance
  }

  /** A VM that does not start leaves nothing behind. */
  async function bringUp(path: string, instance: Instance): Promise<void> {
    try {
      await power.boot(path)
    } catch (error) {
      if (type.items[path]?.id === instance.id) delete type.items[path]
      throw error
    }
    audit.activity(instance, 'v1.compute.instances.insert')
  }

  function insert(path: string, properties: InstanceProperties, requestId?: string): Operation {
    if (type.items[path]) throw resourceExists(`projects/${ctx.project}/${path}`)
    const start = { scope: scopeOf(path), type: 'insert', target: path, requestId }
    let instance: Instance
    try {
      instance = record(path, properties)
    } catch (error) {
      // Quotas are found out by the operation, not by the request.
      return ctx.operations.start(start, () => Promise.reject(error))
    }
    return ctx.operations.start({ ...start, targetId: instance.id }, () => bringUp(path, instance))
  }

  return {
    create: async (path, properties) => bringUp(path, record(path, properties)),
    routes(app) {
      addReadRoutes(app, ctx, type)
      app.post(
        patternOf(type),
        changing(ctx, (c, body, requestId) => {
          const path = `${scopeOfRequest(ctx, c)}/instances/${needName(body)}`
          const template = c.req.query('sourceInstanceTemplate')
          return insert(
            path,
            template ? templateOf(ctx, template) : readProperties(body),
            requestId,
          )
        }),
      )
      addPowerRoutes(app, ctx, type, power, audit)
      addUpdateRoutes(app, ctx, type)
    },
  }
}

function templateOf(ctx: Context, link: string): InstanceProperties {
  const path = pathOf(link, 'sourceInstanceTemplate')
  const template = ctx.state.instanceTemplates[path]
  if (template) return template.properties
  throw new GoogleError('notFound', `The resource 'projects/${ctx.project}/${path}' was not found`)
}

function addPowerRoutes(
  app: Hono,
  ctx: Context,
  type: ResourceType<Instance>,
  power: Power,
  audit: AuditLog,
): void {
  const one = `${patternOf(type)}/:name`
  const steps: Record<'stop' | 'start' | 'reset', (path: string) => Promise<void>> = {
    stop: power.stop,
    start: async (path) => {
      await power.boot(path)
      const instance = type.items[path]
      if (instance) audit.activity(instance, 'v1.compute.instances.start')
    },
    reset: power.reset,
  }
  for (const [verb, step] of Object.entries(steps)) {
    app.post(
      `${one}/${verb}`,
      changing(ctx, (c, _body, requestId) => {
        const { path, resource } = resourceOfRequest(ctx, type, c)
        if (verb === 'start' && resource.status !== 'TERMINATED') {
          throw new GoogleError(
            'resourceNotReady',
            `The resource 'projects/${ctx.project}/${path}' is not ready`,
          )
        }
        const start = { scope: scopeOf(path), type: verb, target: path, targetId: resource.id }
        return ctx.operations.start({ ...start, requestId }, () => step(path))
      }),
    )
  }
  app.delete(
    one,
    changing(ctx, (c, _body, requestId) => {
      const { path, resource } = resourceOfRequest(ctx, type, c)
      const start = { scope: scopeOf(path), type: 'delete', target: path, targetId: resource.id }
      return ctx.operations.start({ ...start, requestId }, () => power.remove(path))
    }),
  )
}

function addUpdateRoutes(app: Hono, ctx: Context, type: ResourceType<Instance>): void {
  const one = `${patternOf(type)}/:name`
  const update = (verb: string, change: (instance: Instance, body: Json) => void): void => {
    app.post(
      `${one}/${verb}`,
      changing(ctx, (c, body, requestId) => {
        const { path, resource } = resourceOfRequest(ctx, type, c)
        change(resource, body)
        const start = { scope: scopeOf(path), type: verb, target: path, targetId: resource.id }
        return ctx.operations.start({ ...start, requestId })
      }),
    )
  }
  update('setMetadata', (instance, body) => {
    checkFingerprint(instance.metadata, body)
    instance.metadata = readMetadata(body)
  })
  update('setLabels', (instance, body) => {
    if (textOf(body, 'labelFingerprint') !== instance.labelFingerprint) {
      throw new GoogleError(
        'conditionNotMet',
        'Labels fingerprint either invalid or resource labels have changed',
      )
    }
    instance.labels = textMapOf(body, 'labels')
    instance.labelFingerprint = fingerprintOf(instance.labels)
  })
}

/** What people meet when a zone has run out of machines, and the words they look for then. */
function checkStock({ shortage, project }: Context, path: string): void {
  if (shortage !== 'stock-out') return
  const zone = path.split('/')[1] ?? ''
  throw new GoogleError(
    'resourcePoolExhausted',
    `The zone 'projects/${project}/zones/${zone}' does not have enough resources available to fulfill the request.  Try a different zone, or try again later.`,
  )
}

function checkQuota(ctx: Context, path: string, properties: InstanceProperties): void {
  const region = regionOfZone(path.split('/')[1] ?? '')
  const wanted: Record<string, number> = {
    INSTANCES: 1,
    CPUS: machineType(properties.machineType)?.guestCpus ?? 0,
  }
  for (const { metric, limit: real, usage } of quotasOf(ctx, region)) {
    const limit = ctx.shortage === 'quota' ? Math.min(real, usage) : real
    if (usage + (wanted[metric] ?? 0) <= limit) continue
    throw new GoogleError(
      'quotaExceeded',
      `Quota '${metric}' exceeded.  Limit: ${limit.toFixed(1)} in region ${region}.`,
    )
  }
}

function newInstance(ctx: Context, path: string, properties: InstanceProperties): Instance {
  const named = newNamed(ctx, 'compute#instance', path)
  const zone = path.split('/')[1] ?? ''
  const addresses = newVmAddresses(ctx)
  const wantsExternal = properties.networkInterfaces.some(
    (nic) => Array.isArray(nic['accessConfigs']) && nic['accessConfigs'].length > 0,
  )
  return {
    ...named,
    zone: linkTo(ctx.project, `zones/${zone}`),
    status: 'PROVISIONING',
    machineType: linkTo(
      ctx.project,
      `zones/${zone}/machineTypes/${nameOf(properties.machineType)}`,
    ),
    labels: { ...properties.labels },
    labelFingerprint: fingerprintOf(properties.labels),
    fingerprint: fingerprintOf(named.id),
    metadata: properties.metadata,
    scheduling: properties.scheduling,
    // Its own list: what is attached later is this VM's alone.
    disks: [...properties.disks],
    networkInterfaces: [
      {
        kind: 'compute#networkInterface',
        name: 'nic0',
        network: linkTo(ctx.project, 'global/networks/default'),
        networkIP: addresses.internalIp,
        aliasIpRanges: [{ ipCidrRange: addresses.podRange, subnetworkRangeName: 'pods' }],
        accessConfigs: wantsExternal
          ? [
              {
                kind: 'compute#accessConfig',
                type: 'ONE_TO_ONE_NAT',
                name: 'External NAT',
                natIP: addresses.externalIp,
              },
            ]
          : [],
      },
    ],
    serviceAccounts: properties.serviceAccounts,
    tags: properties.tags,
    canIpForward: properties.canIpForward,
  }
}
