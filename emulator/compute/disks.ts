// Persistent disks: insert, get, list, delete, resize, and instances' attachDisk and detachDisk. A disk
// outlives the VMs it was attached to, and only one VM at a time may write to it.
// https://cloud.google.com/compute/docs/reference/rest/v1/disks

import type { Hono } from 'hono'
import { newNamed, type Context } from './context.ts'
import type { DiskId, DiskMedia } from './disk-media.ts'
import { GoogleError, invalidField, resourceExists } from './google-error.ts'
import { instancesType } from './instances.ts'
import { needName, needText, numberOf, textMapOf, textOf, type Json } from './json.ts'
import { linkTo, nameOf, pathOf, scopeOf } from './links.ts'
import { machineType } from './places.ts'
import {
  addReadRoutes,
  changing,
  patternOf,
  resourceOfRequest,
  scopeOfRequest,
  type ResourceType,
} from './resource-routes.ts'
import { fingerprintOf, type Disk, type Instance } from './state.ts'

export interface EmulatedDisks {
  routes(app: Hono): void
  /** After a start: the bodies of attached disks are where their VMs look for them. */
  restore(): Promise<void>
  /** A VM is gone: what it had is free. */
  forget(instance: Instance): Promise<void>
}

const SIZE_MAX_GB = 65_536
const TYPES = ['pd-standard', 'pd-balanced', 'pd-ssd', 'pd-extreme']
const DEFAULT_TYPE = 'pd-standard'
const DEFAULT_SIZE_GB = 500
/** https://cloud.google.com/compute/docs/disks#pdnumberlimits, the boot disk included. */
const DISKS_MAX = 128
const DISKS_MAX_SHARED_CORE = 16
/** A shared core is less than one. */
const SHARED_CORE = /^(e2-(micro|small|medium)|f1-micro|g1-small)$/

export function createDisks(ctx: Context, media: DiskMedia): EmulatedDisks {
  const type: ResourceType<Disk> = {
    plural: 'disks',
    kind: 'compute#disk',
    scopeKind: 'zones',
    items: ctx.state.disks,
    show: (disk) => shown(ctx, disk),
  }
  /** Bodies of disks change one after the other. */
  let before: Promise<unknown> = Promise.resolve()
  function inTurn(step: () => Promise<void>): Promise<void> {
    const next = before.then(step, step)
    before = next.catch(() => undefined)
    return next
  }

  return {
    routes(app) {
      addReadRoutes(app, ctx, type)
      addDiskRoutes(app, ctx, { type, media, inTurn })
      addAttachRoutes(app, ctx, { type, media, inTurn })
    },
    restore: () =>
      inTurn(async () => {
        for (const { name: vm, disks } of Object.values(ctx.state.instances)) {
          for (const attached of disks) {
            const path = sourceOf(attached)
            const deviceName = textOf(attached, 'deviceName')
            if (!path || !deviceName) continue
            const isReadOnly = attached['mode'] === 'READ_ONLY'
            const disk = idOf(path)
            await media.attach(disk, { vm, deviceName, isReadOnly }).catch((error: unknown) => {
              // One that was damaged or is held by somebody else keeps no other from starting.
              ctx.log.error('a disk does not come back', { disk, instance: vm, error })
            })
          }
        }
      }),
    forget: (instance) =>
      inTurn(async () => {
        for (const attached of instance.disks) {
          const path = sourceOf(attached)
          const deviceName = textOf(attached, 'deviceName')
          if (!path || !deviceName) continue
          await media.detach(idOf(path), { vm: instance.name, deviceName })
        }
      }),
  }
}

interface Parts {
  type: ResourceType<Disk>
  media: DiskMedia
  inTurn: (step: () => Promise<void>) => Promise<void>
}

function addDiskRoutes(app: Hono, ctx: Context, { type, media, inTurn }: Parts): void {
  const one = `${patternOf(type)}/:name`
  app.post(
    patternOf(type),
    changing(ctx, (c, body, requestId) => {
      const scope = scopeOfRequest(ctx, c)
      const path = `${scope}/disks/${needName(body)}`
      if (type.items[path]) throw resourceExists(`projects/${ctx.project}/${path}`)
      const disk = newDisk(ctx, path, body)
      type.items[path] = disk
      const start = { scope, type: 'insert', target: path, targetId: disk.id, requestId }
      return ctx.operations.start(start, () =>
        inTurn(async () => {
          await media.create(idOf(path), Number(disk.sizeGb))
          disk.status = 'READY'
        }),
      )
    }),
  )
  app.post(
    `${one}/resize`,
    changing(ctx, (c, body, requestId) => {
      const { path, resource } = resourceOfRequest(ctx, type, c)
      const sizeGb = sizeOf(body)
      if (sizeGb <= Number(resource.sizeGb)) {
        throw invalidField(
          'sizeGb',
          String(sizeGb),
          `New disk size '${sizeGb}' must be larger than existing size '${resource.sizeGb}'.`,
        )
      }
      const start = { scope: scopeOf(path), type: 'resizeDisk', target: path }
      return ctx.operations.start({ ...start, targetId: resource.id, requestId }, () =>
        inTurn(async () => {
          await media.resize(idOf(path), sizeGb)
          resource.sizeGb = String(sizeGb)
        }),
      )
    }),
  )
  app.delete(
    one,
    changing(ctx, (c, _body, requestId) => {
      const { path, resource } = resourceOfRequest(ctx, type, c)
      const [user] = usersOf(ctx, path)
      if (user) throw inUse(ctx, path, user[0])
      const start = { scope: scopeOf(path), type: 'delete', target: path }
      return ctx.operations.start({ ...start, targetId: resource.id, requestId }, () =>
        inTurn(async () => {
          await media.remove(idOf(path))
          delete type.items[path]
        }),
      )
    }),
  )
}

function addAttachRoutes(app: Hono, ctx: Context, { type, media, inTurn }: Parts): void {
  const instances = instancesType(ctx)
  const one = `${patternOf(instances)}/:name`
  app.post(
    `${one}/attachDisk`,
    changing(ctx, (c, body, requestId) => {
      const { path: vmPath, resource: vm } = resourceOfRequest(ctx, instances, c)
      const path = pathOf(needText(body, 'source'), 'resource.source')
      const disk = type.items[path]
      if (!disk || disk.status !== 'READY') {
        throw new GoogleError(
          'notFound',
          `The resource 'projects/${ctx.project}/${path}' was not found`,
        )
      }
      if (scopeOf(path) !== scopeOf(vmPath)) {
        throw invalidField(
          'resource.source',
          path,
          'Disk must be in the same zone as the instance.',
        )
      }
      const attached = attachedDisk(ctx, disk, path, vm, body)
      checkFree(ctx, path, attached['mode'] === 'READ_ONLY')
      checkRoom(vm)
      // Taken from now on: whoever comes while the operation runs is refused.
      vm.disks.push(attached)
      const deviceName = textOf(attached, 'deviceName') ?? ''
      const isReadOnly = attached['mode'] === 'READ_ONLY'
      const start = { scope: scopeOf(vmPath), type: 'attachDisk', target: vmPath }
      return ctx.operations.start({ ...start, targetId: vm.id, requestId }, () =>
        inTurn(async () => {
          try {
            await media.attach(idOf(path), { vm: vm.name, deviceName, isReadOnly })
          } catch (error) {
            vm.disks = vm.disks.filter((each) => each !== attached)
            throw error
          }
        }),
      )
    }),
  )
  app.post(
    `${one}/detachDisk`,
    changing(ctx, (c, _body, requestId) => {
      const { path: vmPath, resource: vm } = resourceOfRequest(ctx, instances, c)
      const deviceName = c.req.query('deviceName') ?? ''
      const attached = vm.disks.find((each) => textOf(each, 'deviceName') === deviceName)
      const path = attached && sourceOf(attached)
      if (!path) {
        throw invalidField(
          'deviceName',
          deviceName,
          'No attached disk found with this device name.',
        )
      }
      const start = { scope: scopeOf(vmPath), type: 'detachDisk', target: vmPath }
      return ctx.operations.start({ ...start, targetId: vm.id, requestId }, () =>
        inTurn(async () => {
          await media.detach(idOf(path), { vm: vm.name, deviceName })
          vm.disks = vm.disks.filter((each) => each !== attached)
        }),
      )
    }),
  )
}

function newDisk(ctx: Context, path: string, body: Json): Disk {
  const zone = path.split('/')[1] ?? ''
  const typeName = nameOf(textOf(body, 'type') ?? DEFAULT_TYPE)
  if (!TYPES.includes(typeName)) {
    throw invalidField('resource.type', typeName, 'The disk type is not known.')
  }
  const labels = textMapOf(body, 'labels')
  const description = textOf(body, 'description')
  return {
    ...newNamed(ctx, 'compute#disk', path),
    zone: linkTo(ctx.project, `zones/${zone}`),
    ...(description ? { description } : {}),
    sizeGb: String(sizeOf(body)),
    type: linkTo(ctx.project, `zones/${zone}/diskTypes/${typeName}`),
    status: 'CREATING',
    labels,
    labelFingerprint: fingerprintOf(labels),
    physicalBlockSizeBytes: '4096',
  }
}

function sizeOf(body: Json): number {
  const sizeGb = numberOf(body, 'sizeGb') ?? DEFAULT_SIZE_GB
  if (Number.isInteger(sizeGb) && sizeGb >= 1 && sizeGb <= SIZE_MAX_GB) return sizeGb
  const why = `Disk size must be between 1 GB and ${SIZE_MAX_GB} GB inclusive.`
  throw invalidField('resource.sizeGb', String(sizeGb), why)
}

function attachedDisk(
  ctx: Context,
  disk: Disk,
  path: string,
  vm: Instance,
  body: Json,
): Record<string, unknown> {
  const deviceName = textOf(body, 'deviceName') ?? `persistent-disk-${vm.disks.length}`
  if (vm.disks.some((each) => textOf(each, 'deviceName') === deviceName)) {
    throw invalidField('resource.deviceName', deviceName, 'The device name is already in use.')
  }
  return {
    kind: 'compute#attachedDisk',
    type: 'PERSISTENT',
    mode: textOf(body, 'mode') === 'READ_ONLY' ? 'READ_ONLY' : 'READ_WRITE',
    source: linkTo(ctx.project, path),
    deviceName,
    index: vm.disks.length,
    boot: false,
    autoDelete: body['autoDelete'] === true,
    interface: 'SCSI',
    diskSizeGb: disk.sizeGb,
  }
}

/** Of several VMs that have a disk none may write to it. */
function checkFree(ctx: Context, path: string, isReadOnly: boolean): void {
  const rival = usersOf(ctx, path).find(
    ([, attached]) => !(isReadOnly && attached['mode'] === 'READ_ONLY'),
  )
  if (rival) throw inUse(ctx, path, rival[0])
}

function checkRoom(vm: Instance): void {
  const typeName = nameOf(vm.machineType)
  const isSmall = SHARED_CORE.test(typeName) || machineType(typeName) === undefined
  const limit = isSmall ? DISKS_MAX_SHARED_CORE : DISKS_MAX
  // The boot disk is one of them, whether or not the record shows it.
  const taken = vm.disks.filter((each) => each['boot'] !== true).length + 1
  if (taken < limit) return
  throw new GoogleError(
    'limitExceeded',
    `Exceeded limit 'maximum_persistent_disks' on resource '${vm.name}'. Limit: ${limit.toFixed(1)}`,
  )
}

function inUse({ project }: Context, path: string, vmPath: string): GoogleError {
  return new GoogleError(
    'resourceInUseByAnotherResource',
    `The disk resource 'projects/${project}/${path}' is already being used by 'projects/${project}/${vmPath}'`,
  )
}

/** The VMs that have the disk, by path, and how. */
function usersOf({ state }: Context, path: string): [string, Record<string, unknown>][] {
  return Object.entries(state.instances).flatMap(([vmPath, { disks }]) =>
    disks
      .filter((attached) => sourceOf(attached) === path)
      .map((attached): [string, Record<string, unknown>] => [vmPath, attached]),
  )
}

/** The path of an attached disk; a boot disk of a template names none. */
function sourceOf(attached: Record<string, unknown>): string | undefined {
  const source = textOf(attached, 'source')
  return source ? pathOf(source, 'source') : undefined
}

function shown(ctx: Context, disk: Disk): object {
  const path = pathOf(disk.selfLink, 'selfLink')
  const users = usersOf(ctx, path).map(([vmPath]) => linkTo(ctx.project, vmPath))
  return users.length > 0 ? { ...disk, users } : disk
}

/** `zone/name` of `zones/z/disks/d`. */
function idOf(path: string): DiskId {
  const [, zone = '', , name = ''] = path.split('/')
  return `${zone}/${name}`
}
