// instanceGroupManagers: insert, get, list, patch, resize, setInstanceTemplate, delete,
// listManagedInstances, deleteInstances, recreateInstances; and the instanceGroups behind them.
// https://cloud.google.com/compute/docs/reference/rest/v1/instanceGroupManagers

import type { Context as Request, Hono } from 'hono'
import { newNamed, type Context } from './context.ts'
import { invalidField, resourceExists, resourceInUse, resourceNotFound } from './google-error.ts'
import { instancePath, type GroupLoop } from './group-loop.ts'
import {
  needName,
  needText,
  numberOf,
  objectOf,
  objectsOf,
  textOf,
  textsOf,
  type Json,
} from './json.ts'
import { linkTo, nameOf, pathOf, scopeOf } from './links.ts'
import { listOf } from './lists.ts'
import {
  addReadRoutes,
  changing,
  checkFingerprint,
  patternOf,
  resourceOfRequest,
  scopeOfRequest,
  type ResourceType,
} from './resource-routes.ts'
import { showManagedInstances, type HealthOf } from './managed-instances.ts'
import { fingerprintOf, type InstanceGroupManager, type Operation } from './state.ts'

interface Deps {
  ctx: Context
  loop: GroupLoop
  healthOf: HealthOf
}

const DEFAULT_POLICY = {
  type: 'OPPORTUNISTIC',
  minimalAction: 'REPLACE',
  mostDisruptiveAllowedAction: 'REPLACE',
  maxSurge: { fixed: 1, calculated: 1 },
  maxUnavailable: { fixed: 1, calculated: 1 },
  replacementMethod: 'SUBSTITUTE',
}

const DEFAULT_LIFECYCLE = { defaultActionOnFailure: 'REPAIR', forceUpdateOnRepair: 'NO' }

export function addInstanceGroupManagerRoutes(app: Hono, deps: Deps): void {
  const { ctx, loop } = deps
  const type = groupsType(ctx)
  addReadRoutes(app, ctx, type)
  app.post(
    patternOf(type),
    changing(ctx, (c, body, requestId) => insert(deps, type, c, body, requestId)),
  )
  app.delete(
    `${patternOf(type)}/:name`,
    changing(ctx, (c, _body, requestId) => {
      const { path, resource } = resourceOfRequest(ctx, type, c)
      const user = backendServiceOf(ctx, path)
      const full = `projects/${ctx.project}/${path}`
      if (user) throw resourceInUse(full, `projects/${ctx.project}/${user}`)
      const internals = ctx.state.groups[path]
      if (internals) internals.isDeleting = true
      const start = { scope: scopeOf(path), type: 'delete', target: path, targetId: resource.id }
      return ctx.operations.start({ ...start, requestId }, () => {
        const gone = loop.gone(path)
        loop.poke(path)
        return gone
      })
    }),
  )
  addUpdateRoutes(app, deps, type)
  addMemberRoutes(app, deps, type)
  addInstanceGroupRoutes(app, ctx)
}

function groupsType(ctx: Context): ResourceType<InstanceGroupManager> {
  return {
    plural: 'instanceGroupManagers',
    kind: 'compute#instanceGroupManager',
    scopeKind: 'zones',
    items: ctx.state.instanceGroupManagers,
    show: (group) => showGroup(ctx, group),
  }
}

function insert(
  { ctx, loop }: Deps,
  type: ResourceType<InstanceGroupManager>,
  c: Request,
  body: Json,
  requestId: string | undefined,
): Operation {
  const scope = scopeOfRequest(ctx, c)
  const name = needName(body)
  const path = `${scope}/${type.plural}/${name}`
  if (type.items[path]) throw resourceExists(`projects/${ctx.project}/${path}`)
  const size = numberOf(body, 'targetSize') ?? 0
  const template = checkedTemplate(ctx, needText(body, 'instanceTemplate'))
  const named = newNamed(ctx, type.kind, path)
  const group: InstanceGroupManager = {
    ...named,
    zone: linkTo(ctx.project, scope),
    baseInstanceName: textOf(body, 'baseInstanceName') ?? name.slice(0, 58),
    targetSize: checkedSize(size),
    instanceTemplate: template,
    versions: [{ instanceTemplate: template }],
    instanceGroup: linkTo(ctx.project, `${scope}/instanceGroups/${name}`),
    updatePolicy: { ...DEFAULT_POLICY, ...objectOf(body, 'updatePolicy') },
    instanceLifecyclePolicy: { ...DEFAULT_LIFECYCLE, ...objectOf(body, 'instanceLifecyclePolicy') },
    autoHealingPolicies: readAutoHealing(ctx, body),
  }
  group.fingerprint = fingerprintOf(group)
  type.items[path] = group
  ctx.state.groups[path] = { members: [], isDeleting: false, named: 0 }
  const start = { scope, type: 'compute.instanceGroupManagers.insert', target: path }
  return ctx.operations.start({ ...start, targetId: named.id, requestId }, async () =>
    loop.poke(path),
  )
}

function addUpdateRoutes(
  app: Hono,
  { ctx, loop }: Deps,
  type: ResourceType<InstanceGroupManager>,
): void {
  const one = `${patternOf(type)}/:name`
  const update = (
    verb: string,
    change: (group: InstanceGroupManager, body: Json, c: Request) => void,
  ): ((c: Request) => Promise<Response>) =>
    changing(ctx, (c, body, requestId) => {
      const { path, resource } = resourceOfRequest(ctx, type, c)
      change(resource, body, c)
      const { fingerprint: _, ...content } = resource
      resource.fingerprint = fingerprintOf(content)
      const start = { scope: scopeOf(path), type: verb, target: path, targetId: resource.id }
      return ctx.operations.start({ ...start, requestId }, async () => loop.poke(path))
    })
  app.patch(
    one,
    update('patch', (group, body) => {
      checkFingerprint(group, body)
      patchGroup(ctx, group, body)
    }),
  )
  app.post(
    `${one}/resize`,
    update('resize', (group, _body, c) => {
      group.targetSize = checkedSize(Number(c.req.query('size')))
    }),
  )
  app.post(
    `${one}/setInstanceTemplate`,
    update('setInstanceTemplate', (group, body) => {
      group.instanceTemplate = checkedTemplate(ctx, needText(body, 'instanceTemplate'))
      group.versions = [{ instanceTemplate: group.instanceTemplate }]
    }),
  )
}

function patchGroup(ctx: Context, group: InstanceGroupManager, body: Json): void {
  const size = numberOf(body, 'targetSize')
  if (size !== undefined) group.targetSize = checkedSize(size)
  const [version] = objectsOf(body, 'versions')
  const template =
    textOf(body, 'instanceTemplate') ?? (version && textOf(version, 'instanceTemplate'))
  if (template) {
    group.instanceTemplate = checkedTemplate(ctx, template)
    group.versions = [{ instanceTemplate: group.instanceTemplate }]
  }
  group.updatePolicy = { ...group.updatePolicy, ...objectOf(body, 'updatePolicy') }
  group.instanceLifecyclePolicy = {
    ...group.instanceLifecyclePolicy,
    ...objectOf(body, 'instanceLifecyclePolicy'),
  }
  if (body['autoHealingPolicies'] !== undefined) {
    group.autoHealingPolicies = readAutoHealing(ctx, body)
  }
}

function addMemberRoutes(
  app: Hono,
  { ctx, loop, healthOf }: Deps,
  type: ResourceType<InstanceGroupManager>,
): void {
  const one = `${patternOf(type)}/:name`
  app.post(`${one}/listManagedInstances`, (c) => {
    const { path } = resourceOfRequest(ctx, type, c)
    const entries = showManagedInstances(ctx, path, healthOf)
    const { items, ...page } = Object(listOf('', ctx.project, path, entries, c.req.query())) as {
      items: object[]
      nextPageToken?: string
    }
    return c.json({
      managedInstances: items,
      ...(page.nextPageToken ? { nextPageToken: page.nextPageToken } : {}),
    })
  })
  const forMembers = (verb: 'deleteInstances' | 'recreateInstances'): void => {
    app.post(
      `${one}/${verb}`,
      changing(ctx, (c, body, requestId) => {
        const { path, resource } = resourceOfRequest(ctx, type, c)
        const members = ctx.state.groups[path]?.members ?? []
        for (const link of textsOf(body, 'instances')) {
          const name = nameOf(link)
          const member = members.find((one) => one.name === name && one.action !== 'DELETING')
          if (!member && body['skipInstancesOnValidationError'] === true) continue
          if (!member) throw notAMember(link, resource.name)
          member.action = verb === 'deleteInstances' ? 'DELETING' : 'RECREATING'
          if (verb === 'deleteInstances') resource.targetSize--
        }
        const start = { scope: scopeOf(path), type: verb, target: path, targetId: resource.id }
        return ctx.operations.start({ ...start, requestId }, async () => loop.poke(path))
      }),
    )
  }
  forMembers('deleteInstances')
  forMembers('recreateInstances')
}

function notAMember(link: string, group: string): Error {
  return invalidField('instances', link, `Instance is not a member of ${group}.`)
}

/** The unmanaged view of the same VMs: what backend services refer to. */
function addInstanceGroupRoutes(app: Hono, ctx: Context): void {
  const show = (path: string, group: InstanceGroupManager): object => ({
    kind: 'compute#instanceGroup',
    id: group.id,
    name: group.name,
    zone: group.zone,
    creationTimestamp: group.creationTimestamp,
    selfLink: group.instanceGroup,
    size: runningMembers(ctx, path).length,
    fingerprint: group.fingerprint,
  })
  const need = (c: Request): [string, InstanceGroupManager] => {
    const scope = scopeOfRequest(ctx, c)
    const path = `${scope}/instanceGroupManagers/${c.req.param('name')}`
    const group = ctx.state.instanceGroupManagers[path]
    if (group) return [path, group]
    throw resourceNotFound(`projects/${ctx.project}/${scope}/instanceGroups/${c.req.param('name')}`)
  }
  app.get('/zones/:place/instanceGroups', (c) => {
    const scope = scopeOfRequest(ctx, c)
    const entries = Object.entries(ctx.state.instanceGroupManagers)
      .filter(([path]) => path.startsWith(`${scope}/`))
      .map(([path, group]): [string, object] => [path, show(path, group)])
    const path = `${scope}/instanceGroups`
    return c.json(listOf('compute#instanceGroupList', ctx.project, path, entries, c.req.query()))
  })
  app.get('/zones/:place/instanceGroups/:name', (c) => c.json(show(...need(c))))
  app.post('/zones/:place/instanceGroups/:name/listInstances', (c) => {
    const [path, group] = need(c)
    const entries = runningMembers(ctx, path).map((at): [string, object] => [
      at,
      { instance: linkTo(ctx.project, at), status: ctx.state.instances[at]?.status },
    ])
    const about = `${path}/${group.name}`
    return c.json(
      listOf('compute#instanceGroupsListInstances', ctx.project, about, entries, c.req.query()),
    )
  })
}

/** Paths of the VMs of a group that exist. */
export function runningMembers({ state }: Context, group: string): string[] {
  return (state.groups[group]?.members ?? [])
    .map((member) => instancePath(group, member.name))
    .filter((path) => state.instances[path] !== undefined)
}

function showGroup(ctx: Context, group: InstanceGroupManager): object {
  const path = pathOf(group.selfLink, 'selfLink')
  const members = ctx.state.groups[path]?.members ?? []
  const count = (action: string): number =>
    members.filter((member) => member.action === action).length
  const isQuiet =
    members.length === group.targetSize &&
    members.every(
      (member) =>
        member.action === 'NONE' &&
        ctx.state.instances[instancePath(path, member.name)]?.status === 'RUNNING',
    )
  const template = pathOf(group.instanceTemplate, 'instanceTemplate')
  return {
    ...group,
    currentActions: {
      none: count('NONE'),
      creating: count('CREATING'),
      creatingWithoutRetries: 0,
      verifying: 0,
      recreating: count('RECREATING'),
      deleting: count('DELETING'),
      abandoning: 0,
      restarting: 0,
      refreshing: 0,
    },
    status: {
      isStable: isQuiet,
      versionTarget: { isReached: members.every((member) => member.template === template) },
      allInstancesConfig: { effective: true },
      stateful: { hasStatefulConfig: false },
    },
  }
}

function backendServiceOf({ state }: Context, group: string): string | undefined {
  const suffix = group.replace('/instanceGroupManagers/', '/instanceGroups/')
  return Object.entries(state.backendServices).find(([, service]) =>
    service.backends.some((backend) => backend.group.endsWith(suffix)),
  )?.[0]
}

function checkedTemplate(ctx: Context, link: string): string {
  const path = pathOf(link, 'resource.instanceTemplate')
  if (!ctx.state.instanceTemplates[path]) throw resourceNotFound(`projects/${ctx.project}/${path}`)
  return linkTo(ctx.project, path)
}

function checkedSize(size: number): number {
  if (Number.isInteger(size) && size >= 0 && size <= 1000) return size
  throw invalidField('targetSize', String(size), 'Must be between 0 and 1000.')
}

function readAutoHealing(ctx: Context, body: Json): InstanceGroupManager['autoHealingPolicies'] {
  return objectsOf(body, 'autoHealingPolicies').map((policy) => {
    const path = pathOf(needText(policy, 'healthCheck'), 'resource.autoHealingPolicies.healthCheck')
    if (!ctx.state.healthChecks[path]) throw resourceNotFound(`projects/${ctx.project}/${path}`)
    return {
      healthCheck: linkTo(ctx.project, path),
      initialDelaySec: numberOf(policy, 'initialDelaySec') ?? 0,
    }
  })
}
