// addresses (regional and global, external): insert, get, list, delete.
// https://cloud.google.com/compute/docs/reference/rest/v1/addresses

import type { Hono } from 'hono'
import { newBalancerAddress } from './addressing.ts'
import { newNamed, type Context } from './context.ts'
import { GoogleError, resourceExists, resourceInUse } from './google-error.ts'
import { needName, textOf } from './json.ts'
import { quotasOf } from './places.ts'
import {
  addReadRoutes,
  changing,
  patternOf,
  resourceOfRequest,
  scopeOfRequest,
  type ResourceType,
} from './resource-routes.ts'
import { nameOf, scopeOf } from './links.ts'
import type { Address } from './state.ts'

export function addAddressRoutes(app: Hono, ctx: Context): void {
  for (const scopeKind of ['regions', 'global'] as const) addRoutes(app, ctx, scopeKind)
}

function addRoutes(app: Hono, ctx: Context, scopeKind: 'regions' | 'global'): void {
  const type: ResourceType<Address> = {
    plural: 'addresses',
    kind: 'compute#address',
    scopeKind,
    items: ctx.state.addresses,
    show: (address) => showAddress(ctx, address),
  }
  addReadRoutes(app, ctx, type)
  app.post(
    patternOf(type),
    changing(ctx, (c, body, requestId) => {
      const scope = scopeOfRequest(ctx, c)
      const path = `${scope}/addresses/${needName(body)}`
      if (type.items[path]) throw resourceExists(`projects/${ctx.project}/${path}`)
      if (scopeKind === 'regions') checkQuota(ctx, nameOf(scope))
      const named = newNamed(ctx, type.kind, path)
      type.items[path] = {
        ...named,
        address: newBalancerAddress(ctx, textOf(body, 'address')),
        addressType: 'EXTERNAL',
        status: 'RESERVED',
        networkTier: textOf(body, 'networkTier') ?? 'PREMIUM',
        users: [],
      }
      const start = { scope, type: 'insert', target: path, targetId: named.id }
      return ctx.operations.start({ ...start, requestId })
    }),
  )
  app.delete(
    `${patternOf(type)}/:name`,
    changing(ctx, (c, _body, requestId) => {
      const { path, resource } = resourceOfRequest(ctx, type, c)
      const [user] = usersOf(ctx, resource)
      if (user) throw resourceInUse(`projects/${ctx.project}/${path}`, user)
      delete type.items[path]
      const start = { scope: scopeOf(path), type: 'delete', target: path, targetId: resource.id }
      return ctx.operations.start({ ...start, requestId })
    }),
  )
}

function usersOf({ state }: Context, address: Address): string[] {
  return [...Object.values(state.forwardingRules), ...Object.values(state.globalForwardingRules)]
    .filter((rule) => rule.IPAddress === address.address)
    .map((rule) => rule.selfLink)
}

function showAddress(ctx: Context, address: Address): Address {
  const users = usersOf(ctx, address)
  return { ...address, users, status: users.length > 0 ? 'IN_USE' : 'RESERVED' }
}

function checkQuota(ctx: Context, region: string): void {
  const quota = quotasOf(ctx, region).find(({ metric }) => metric === 'STATIC_ADDRESSES')
  if (!quota || quota.usage < quota.limit) return
  throw new GoogleError(
    'quotaExceeded',
    `Quota 'STATIC_ADDRESSES' exceeded.  Limit: ${quota.limit.toFixed(1)} in region ${region}.`,
  )
}
