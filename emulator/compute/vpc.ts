// The network of VMs that have no network of their own (isolation `none`): a registry that says
// which loopback port stands for a VPC address. `10.4.1.3:8080/tcp` is a pod's port;
// `10.128.0.5>127.0.1.1:80/tcp` is a packet for a load balancer's address that arrives at one VM.
// Agents write it over HTTP; whoever connects inside the "VPC" asks it.

import { Hono } from 'hono'
import { readBody } from './read-body.ts'

export interface Vpc {
  /** Health checks come from this address of this machine; undefined: it does not matter. */
  proberAddress?: string
  /** `127.0.0.1:34567`, or undefined when nothing listens there. */
  lookup(address: string): string | undefined
  register(route: { owner: string; address: string; to: string }): void
  remove(owner: string, address: string): void
  /** A VM is gone: so is everything it registered. */
  dropOwner(owner: string): void
  routes(): { owner: string; address: string; to: string }[]
  /** Calls `listener` after each change of a route. */
  onChange(listener: () => void): void
  /** PUT and DELETE /vpc/routes, GET /vpc/route?address=…, GET /vpc/routes. */
  app: Hono
}

/** The VPC of VMs with a network of their own: every address is where it says. `prober`: see Vpc. */
export function createRoutedVpc(prober: string): Vpc {
  return {
    ...createVpc(),
    proberAddress: prober,
    lookup: (address) => address.replace(/^.*>/, '').replace(/\/\w+$/, ''),
  }
}

/** Where a pod's port can be reached from this process; undefined: nobody listens there. */
export type EndpointAddress = (
  ip: string,
  port: number,
) => { host: string; port: number } | undefined

export function endpointAddress(vpc: Pick<Vpc, 'lookup'>): EndpointAddress {
  return (ip, port) => {
    const [host, to] = (vpc.lookup(`${ip}:${port}/tcp`) ?? '').split(':')
    return host && to ? { host, port: Number(to) } : undefined
  }
}

const ADDRESS = /^(?:[\d.]+>)?[\d.]+:\d+\/(?:tcp|udp)$/
const TARGET = /^[^:\s]+:\d+$/
const BODY_MAX = 64 * 1024

export function createVpc(): Vpc {
  const routes = new Map<string, { owner: string; to: string }>()
  const listeners: (() => void)[] = []
  const changed = (): void => {
    for (const listener of listeners) listener()
  }
  const app = new Hono()

  const vpc: Vpc = {
    app,
    lookup: (address) => routes.get(address)?.to,
    register({ owner, address, to }) {
      routes.set(address, { owner, to })
      changed()
    },
    remove(owner, address) {
      // An address that another VM has taken over meanwhile is no longer this one's to remove.
      if (routes.get(address)?.owner === owner) routes.delete(address)
      changed()
    },
    dropOwner(owner) {
      for (const [address, route] of routes) if (route.owner === owner) routes.delete(address)
      changed()
    },
    onChange: (listener) => void listeners.push(listener),
    routes: () => [...routes].map(([address, route]) => ({ address, ...route })),
  }

  app.put('/vpc/routes', async (c) => {
    const body = readRoute(await readJson(c.req.raw))
    if (!body || !TARGET.test(body.to)) {
      return c.json(
        { error: 'needs owner, address (10.4.1.3:8080/tcp) and to (127.0.0.1:34567)' },
        400,
      )
    }
    vpc.register(body)
    return c.body(null, 204)
  })
  app.delete('/vpc/routes', async (c) => {
    const body = readRoute(await readJson(c.req.raw))
    if (!body) return c.json({ error: 'needs owner and address' }, 400)
    vpc.remove(body.owner, body.address)
    return c.body(null, 204)
  })
  app.get('/vpc/route', (c) => {
    const to = vpc.lookup(c.req.query('address') ?? '')
    return to === undefined ? c.json({ error: 'no route to host' }, 404) : c.json({ to })
  })
  app.get('/vpc/routes', (c) => c.json({ routes: vpc.routes() }))
  return vpc
}

async function readJson(request: Request): Promise<unknown> {
  try {
    const text = await readBody(request, BODY_MAX)
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

function readRoute(body: unknown): { owner: string; address: string; to: string } | undefined {
  if (typeof body !== 'object' || body === null) return undefined
  const owner = 'owner' in body ? body.owner : undefined
  const address = 'address' in body ? body.address : undefined
  const to = 'to' in body && typeof body.to === 'string' ? body.to : ''
  if (typeof owner !== 'string' || typeof address !== 'string') return undefined
  return owner && ADDRESS.test(address) ? { owner, address, to } : undefined
}
