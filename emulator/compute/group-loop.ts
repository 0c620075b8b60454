// What makes a managed instance group managed: it keeps as many VMs as it was asked for, makes a VM
// that was lost anew under the same name, and applies a new template as its update policy allows.

import type { AuditLog } from './audit-log.ts'
import type { Context } from './context.ts'
import { GoogleError } from './google-error.ts'
import { metadataOf } from './instance-properties.ts'
import type { Instances } from './instances.ts'
import { nameOf, pathOf } from './links.ts'
import type { Power } from './power.ts'
import type { GroupMember, InstanceGroupManager, InstanceProperties } from './state.ts'
import { fingerprintOf } from './state.ts'
import { safeName } from '#shared/hash.ts'

export interface GroupLoop {
  /** Looks at the group (or at all) now; goes on by itself until it is as it should be. */
  poke(group?: string): void
  /** Resolves when the group and its VMs are gone. */
  gone(group: string): Promise<void>
  close(): void
}

interface Deps {
  ctx: Context
  instances: Instances
  power: Power
  audit: AuditLog
}

/** A VM that dies young is made again ever more slowly. */
const RETRY_MIN_MS = 1000
const RETRY_MAX_MS = 60_000
const GROWN_UP_MS = 60_000

export function createGroupLoop(deps: Deps): GroupLoop {
  const { ctx, instances, power, audit } = deps
  const { state, clock } = ctx
  const busy = new Set<GroupMember>()
  const waiting = new Map<string, (() => void)[]>()
  const closed = new AbortController()

  function look(path: string): void {
    const group = state.instanceGroupManagers[path]
    const internals = state.groups[path]
    if (!group || !internals || closed.signal.aborted) return
    adjustSize(ctx, path, group)
    applyTemplate(ctx, path, group)
    for (const member of internals.members) {
      noticeLoss(path, member)
      if (!busy.has(member) && member.action !== 'NONE') void work(path, group, member)
    }
    if (internals.isDeleting && internals.members.length === 0) {
      delete state.instanceGroupManagers[path]
      delete state.groups[path]
      ctx.changed()
      for (const resolve of waiting.get(path) ?? []) resolve()
      waiting.delete(path)
    }
  }

  /** A member whose VM is not there or does not run is made anew. */
  function noticeLoss(path: string, member: GroupMember): void {
    if (member.action !== 'NONE' || busy.has(member)) return
    const instance = state.instances[instancePath(path, member.name)]
    if (instance && instance.status !== 'TERMINATED') return
    const lived = clock.now() - (member.runningSinceMs ?? clock.now())
    member.repairs = lived >= GROWN_UP_MS ? 0 : member.repairs
    member.retryAtMs = member.repairs === 0 ? 0 : clock.now() + backOff(member.repairs)
    member.repairs++
    member.action = 'RECREATING'
    delete member.runningSinceMs
  }

  async function work(
    path: string,
    group: InstanceGroupManager,
    member: GroupMember,
  ): Promise<void> {
    busy.add(member)
    const before = member.action
    try {
      await clock.sleep(Math.max(0, member.retryAtMs - clock.now()), closed.signal)
      if (closed.signal.aborted) return
      // While it waited it may have been told to go.
      if (member.action === before) await step(path, group, member)
    } catch (error) {
      noteFailure(ctx, member, error)
    } finally {
      busy.delete(member)
      ctx.changed()
      look(path)
    }
  }

  async function step(
    path: string,
    group: InstanceGroupManager,
    member: GroupMember,
  ): Promise<void> {
    const at = instancePath(path, member.name)
    const action = member.action
    const instance = state.instances[at]
    if (action === 'DELETING') {
      await power.remove(at)
      const members = state.groups[path]?.members ?? []
      members.splice(members.indexOf(member), 1)
      return
    }
    if (instance && action === 'RECREATING') {
      audit.system(instance, 'compute.instances.repair.recreateInstance')
      await power.remove(at)
      member.template = pathOf(group.instanceTemplate, 'instanceTemplate')
    }
    if (!state.instances[at]) await instances.create(at, propertiesFor(ctx, path, member.template))
    if (member.action === action) member.action = 'NONE'
    delete member.lastError
    member.retryAtMs = 0
    member.runningSinceMs = clock.now()
  }

  power.onChange((path) => {
    const name = nameOf(path)
    for (const [group, { members }] of Object.entries(state.groups)) {
      if (members.some((member) => member.name === name)) look(group)
    }
  })

  return {
    poke(group) {
      for (const path of group ? [group] : Object.keys(state.groups)) look(path)
    },
    gone(group) {
      if (!state.groups[group]) return Promise.resolve()
      return new Promise((resolve) => waiting.set(group, [...(waiting.get(group) ?? []), resolve]))
    },
    close: () => closed.abort(),
  }
}

/** `zones/z/instances/x` of a member of `zones/z/instanceGroupManagers/g`. */
export function instancePath(group: string, name: string): string {
  return `${group.split('/').slice(0, 2).join('/')}/instances/${name}`
}

function backOff(repairs: number): number {
  return Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** (repairs - 1))
}

function adjustSize({ state }: Context, path: string, group: InstanceGroupManager): void {
  const internals = state.groups[path]
  if (!internals) return
  const staying = internals.members.filter((member) => member.action !== 'DELETING')
  const target = internals.isDeleting ? 0 : group.targetSize
  for (let count = staying.length; count < target; count++) {
    internals.members.push({
      name: newMemberName(internals.members, group, internals.named++),
      action: 'CREATING',
      template: pathOf(group.instanceTemplate, 'instanceTemplate'),
      repairs: 0,
      retryAtMs: 0,
    })
  }
  // Those that do not run go first, then the youngest.
  const leaving = staying
    .toReversed()
    .toSorted((left, right) => Number(left.action === 'NONE') - Number(right.action === 'NONE'))
    .slice(0, Math.max(0, staying.length - target))
  for (const member of leaving) member.action = 'DELETING'
}

function newMemberName(members: GroupMember[], group: InstanceGroupManager, from: number): string {
  const names = new Set(members.map((member) => member.name))
  for (let salt = 0; ; salt++) {
    const name = `${group.baseInstanceName}-${safeName(4, group.id, from, salt)}`
    if (!names.has(name)) return name
  }
}

/** A failed attempt is kept for listManagedInstances, and made again later. */
function noteFailure({ clock, log }: Context, member: GroupMember, error: unknown): void {
  const failure =
    error instanceof GoogleError ? error : new GoogleError('internalError', 'Internal error.')
  if (failure !== error) log.error('a group member broke', { instance: member.name, error })
  member.repairs++
  member.lastError = {
    code: failure.operationCode,
    message: failure.message,
    atMs: clock.now(),
  }
  member.retryAtMs = clock.now() + backOff(member.repairs)
}

/** The template, and where the VM comes from, as Google writes it into the metadata. */
function propertiesFor(ctx: Context, group: string, template: string): InstanceProperties {
  const found = ctx.state.instanceTemplates[template]
  if (!found) {
    throw new GoogleError(
      'notFound',
      `The resource 'projects/${ctx.project}/${template}' was not found`,
    )
  }
  return { ...found.properties, metadata: metadataOf(memberItems(ctx, group, template)) }
}

function memberItems(
  { state, projectNumber }: Context,
  group: string,
  template: string,
): InstanceProperties['metadata']['items'] {
  return [
    { key: 'instance-template', value: `projects/${projectNumber}/${template}` },
    { key: 'created-by', value: `projects/${projectNumber}/${group}` },
    ...(state.instanceTemplates[template]?.properties.metadata.items ?? []),
  ]
}

/**
 * PROACTIVE: running VMs get the new template. What REFRESH can do (metadata, labels) happens in
 * place; anything else needs REPLACE to be allowed, and goes one VM at a time.
 */
function applyTemplate(ctx: Context, path: string, group: InstanceGroupManager): void {
  const internals = ctx.state.groups[path]
  if (!internals || group.updatePolicy['type'] !== 'PROACTIVE') return
  const wanted = pathOf(group.instanceTemplate, 'instanceTemplate')
  const isReplaceAllowed = group.updatePolicy['mostDisruptiveAllowedAction'] !== 'REFRESH'
  for (const member of internals.members) {
    if (member.action !== 'NONE' || member.template === wanted) continue
    if (isRefresh(ctx, member.template, wanted)) refresh(ctx, path, member, wanted)
    else if (isReplaceAllowed && internals.members.every((one) => one.action === 'NONE')) {
      member.action = 'RECREATING'
    }
  }
}

function isRefresh({ state }: Context, from: string, to: string): boolean {
  const fixed = (path: string): string => {
    const properties = state.instanceTemplates[path]?.properties
    return JSON.stringify({ ...properties, metadata: undefined, labels: undefined })
  }
  return fixed(from) === fixed(to)
}

function refresh(ctx: Context, path: string, member: GroupMember, template: string): void {
  const instance = ctx.state.instances[instancePath(path, member.name)]
  const properties = ctx.state.instanceTemplates[template]?.properties
  if (!instance || !properties) return
  instance.metadata = metadataOf(memberItems(ctx, path, template))
  instance.labels = { ...properties.labels }
  instance.labelFingerprint = fingerprintOf(instance.labels)
  member.template = template
  ctx.changed()
}
