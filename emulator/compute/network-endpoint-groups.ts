// networkEndpointGroups of type GCE_VM_IP_PORT, zonal: insert, get, list, delete, attachNetworkEndpoints,
// detachNetworkEndpoints, listNetworkEndpoints.
// https://cloud.google.com/compute/docs/reference/rest/v1/networkEndpointGroups

import type { Hono } from 'hono'
import type { Context } from './context.ts'
import { GoogleError, invalidField, resourceNotFound } from './google-error.ts'
import { needText, numberOf, objectsOf, textOf, type Json } from './json.ts'
import { linkTo, nameOf, pathOf, scopeOf } from './links.ts'
import { listOf } from './lists.ts'
import { changing, patternOf, resourceOfRequest, type ResourceType } from './resource-routes.ts'
import { addSimpleRoutes, linkedBy } from './simple-resource.ts'
import type { EndpointGroup, GroupEndpoint, Named } from './state.ts'

/** Google's limit for one call. */
const ENDPOINTS_MAX = 500

/** What the balancer finds out about an endpoint of a backend service. */
export type EndpointHealthOf = (service: string, endpoint: string) => string

export function addEndpointGroupRoutes(
  app: Hono,
  ctx: Context,
  healthOf: EndpointHealthOf,
  changed: () => Promise<void>,
): void {
  const { state } = ctx
  const type: ResourceType<EndpointGroup> = {
    plural: 'networkEndpointGroups',
    kind: 'compute#networkEndpointGroup',
    scopeKind: 'zones',
    items: state.networkEndpointGroups,
    show: ({ endpoints: _, ...group }) => ({
      ...group,
      size: endpointsOf(ctx, { ...group, endpoints: _ }).length,
    }),
  }
  addSimpleRoutes(app, ctx, type, {
    read: (body, path) => readGroup(ctx, body, path),
    userOf: ({ selfLink }) =>
      linkedBy(
        state.httpBackendServices,
        ({ backends }) => backends.map(({ group }) => group),
        selfLink,
      ),
    changed,
  })
  for (const verb of ['attachNetworkEndpoints', 'detachNetworkEndpoints'] as const) {
    app.post(
      `${patternOf(type)}/:name/${verb}`,
      changing(ctx, (c, body, requestId) => {
        const { path, resource } = resourceOfRequest(ctx, type, c)
        const endpoints = readEndpoints(ctx, resource, body, verb)
        const named = new Set(endpoints.map(nameOfEndpoint))
        const others = resource.endpoints.filter((one) => !named.has(nameOfEndpoint(one)))
        resource.endpoints = verb === 'attachNetworkEndpoints' ? [...others, ...endpoints] : others
        const start = { scope: scopeOf(path), type: verb, target: path, targetId: resource.id }
        return ctx.operations.start({ ...start, requestId }, changed)
      }),
    )
  }
  app.post(`${patternOf(type)}/:name/listNetworkEndpoints`, async (c) => {
    const { path, resource } = resourceOfRequest(ctx, type, c)
    const body: unknown = await c.req.json().catch(() => ({}))
    const isShown =
      typeof body === 'object' &&
      body !== null &&
      'healthStatus' in body &&
      body.healthStatus === 'SHOW'
    const entries = endpointsOf(ctx, resource).map((endpoint): [string, object] => [
      nameOfEndpoint(endpoint),
      {
        networkEndpoint: endpoint,
        healths: isShown ? healthsOf(ctx, resource, endpoint, healthOf) : [],
      },
    ])
    const kind = 'compute#networkEndpointGroupsListNetworkEndpoints'
    return c.json(listOf(kind, ctx.project, `${path}/listNetworkEndpoints`, entries, c.req.query()))
  })
}

/** `10.4.1.3:8080`. */
export function nameOfEndpoint({
  ipAddress,
  port,
}: Pick<GroupEndpoint, 'ipAddress' | 'port'>): string {
  return `${ipAddress}:${port}`
}

/** Those whose VM exists: Google detaches the others by itself. */
export function endpointsOf(
  { state }: Context,
  { zone, endpoints }: EndpointGroup,
): GroupEndpoint[] {
  return endpoints.filter(
    ({ instance }) => state.instances[`zones/${nameOf(zone)}/instances/${instance}`],
  )
}

function healthsOf(
  { state }: Context,
  { selfLink }: EndpointGroup,
  endpoint: GroupEndpoint,
  healthOf: EndpointHealthOf,
): object[] {
  return Object.entries(state.httpBackendServices)
    .filter(([, { backends }]) => backends.some(({ group }) => group === selfLink))
    .map(([path, service]) => ({
      backendService: { backendService: service.selfLink },
      healthState: healthOf(path, nameOfEndpoint(endpoint)),
    }))
}

function readGroup(
  ctx: Context,
  body: Json,
  path: string,
): Omit<EndpointGroup, keyof Named> & { zone: string } {
  const networkEndpointType = textOf(body, 'networkEndpointType') ?? 'GCE_VM_IP_PORT'
  if (networkEndpointType !== 'GCE_VM_IP_PORT') {
    throw invalidField(
      'resource.networkEndpointType',
      networkEndpointType,
      'The emulator has groups of type GCE_VM_IP_PORT.',
    )
  }
  return {
    zone: linkTo(ctx.project, scopeOf(path)),
    networkEndpointType,
    network: linkTo(ctx.project, 'global/networks/default'),
    endpoints: [],
  }
}

function readEndpoints(
  ctx: Context,
  group: EndpointGroup,
  body: Json,
  verb: 'attachNetworkEndpoints' | 'detachNetworkEndpoints',
): GroupEndpoint[] {
  const list = objectsOf(body, 'networkEndpoints')
  if (list.length === 0 || list.length > ENDPOINTS_MAX) {
    const why = `There must be between 1 and ${ENDPOINTS_MAX} network endpoints.`
    throw invalidField('resource.networkEndpoints', String(list.length), why)
  }
  return list.map((one) => {
    const endpoint = {
      instance: nameOf(needText(one, 'instance')),
      ipAddress: needText(one, 'ipAddress'),
      port: numberOf(one, 'port') ?? 0,
    }
    if (verb === 'attachNetworkEndpoints') checkEndpoint(ctx, group, endpoint)
    else if (!group.endpoints.some((each) => nameOfEndpoint(each) === nameOfEndpoint(endpoint))) {
      const name = nameOfEndpoint(endpoint)
      throw new GoogleError(
        'invalid',
        `The network endpoint '${name}' is not attached to the group.`,
      )
    }
    return endpoint
  })
}

/** The address must be one of the VM's own or of its alias ranges. */
function checkEndpoint(
  { state, project }: Context,
  { zone }: EndpointGroup,
  { instance, ipAddress, port }: GroupEndpoint,
): void {
  const path = pathOf(`zones/${nameOf(zone)}/instances/${instance}`, 'resource.instance')
  const vm = state.instances[path]
  if (!vm) throw resourceNotFound(`projects/${project}/${path}`)
  if (port < 1 || port > 65_535) {
    throw invalidField('resource.port', String(port), 'Must be between 1 and 65535.')
  }
  const isIts = vm.networkInterfaces.some(
    ({ networkIP, aliasIpRanges }) =>
      networkIP === ipAddress ||
      aliasIpRanges.some(({ ipCidrRange }) => isWithin(ipAddress, ipCidrRange)),
  )
  if (isIts) return
  throw invalidField(
    'resource.ipAddress',
    ipAddress,
    `Specified IP address doesn't belong to the (sub)network default or to the instance ${instance}.`,
  )
}

function isWithin(address: string, range: string): boolean {
  const [base = '', bits = '32'] = range.split('/')
  const shift = 2 ** (32 - Number(bits))
  return Math.floor(numberOfIp(address) / shift) === Math.floor(numberOfIp(base) / shift)
}

function numberOfIp(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
}
