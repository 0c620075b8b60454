// Puts the functions together from ports. functions/index.ts (Google Cloud) and emulator/main.ts (a
// laptop) differ only in the ports they hand in: what runs is the same.

import type { Hono } from 'hono'
import type { Bus, Message } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Compute } from '#shared/ports/compute.ts'
import type { Disks } from '#shared/ports/disks.ts'
import type { HttpBalancers } from '#shared/ports/http-balancers.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Timers } from '#shared/ports/timers.ts'
import type { VmLook } from '#shared/ports/vm-look.ts'
import type { Store } from '#shared/ports/store.ts'
import { createApi } from './api/app.ts'
import type { ApiDeps } from './api/deps.ts'
import { createCloud, type CloudConfig } from './cloud/cloud.ts'
import { createLiveViews } from './cluster/create-live-views.ts'
import type { LiveViews } from './cluster/live-view.ts'
import { createDeploys, createDeployWebhook } from './deploys/deploys.ts'
import type { DeploysDeps } from './deploys/deps.ts'
import { createLastLines } from './deploys/last-lines.ts'
import { createReconcile } from './reconcile/reconcile.ts'
import { createSignals } from './signals/signals.ts'
import { createSweep } from './sweep/sweep.ts'

export interface Ports {
  store: Store
  bus: Bus
  timers: Timers
  compute: Compute
  disks: Disks
  httpBalancers: HttpBalancers
  clock: Clock
  log: Log
}

/** Compute Engine is the cloud function's alone; the sweep only looks at VMs. */
export type CloudPorts = 'compute' | 'disks' | 'httpBalancers'

/** What every function needs. */
type Basics = Omit<Ports, CloudPorts | 'timers'>

/** What the api function needs beside the ports; its views also serve the GKE API. */
export type ApiOptions = Pick<
  ApiDeps,
  'views' | 'authenticate' | 'probes' | 'route' | 'agentEndpoint'
>

/** A function that Pub/Sub pushes to. A rejection is a nack: the message comes again. */
export type OnMessage = (message: Message) => Promise<void>

export function composeApi(ports: Basics, options: ApiOptions): Hono {
  return createApi({ ...ports, ...options })
}

// Each of the other functions keeps views of its own, as separate instances do in the cloud.

export function composeReconcile(ports: Omit<Ports, CloudPorts>): OnMessage {
  const reconcile = createReconcile({ ...ports, views: createLiveViews(ports) })
  return (message) => forCluster(message, (cluster) => reconcile.handle(cluster))
}

export function composeCloud(ports: Ports, config: CloudConfig): OnMessage {
  const cloud = createCloud({ ...ports, views: createLiveViews(ports), config })
  return (message) => forCluster(message, (cluster) => cloud.handle(cluster))
}

/** Where no agent can be reached, the last words that the control plane keeps are shown. */
export function composeDeploys(
  ports: Omit<Ports, CloudPorts>,
  options: Pick<DeploysDeps, 'githubUrl' | 'urlOfAddress'> & {
    agentEndpoint?: (views: LiveViews) => ApiDeps['agentEndpoint']
  },
): OnMessage {
  const views = createLiveViews(ports)
  const { agentEndpoint, ...settings } = options
  const endpoint = agentEndpoint?.(views)
  const deploys = createDeploys({
    ...ports,
    ...settings,
    views,
    ...(endpoint ? { lastLines: createLastLines(endpoint) } : {}),
  })
  return (message) => forCluster(message, (cluster) => deploys.handle(cluster))
}

/** GitHub's webhook, beside the API: the same views serve both. */
export function composeWebhook(ports: Basics, views: LiveViews): Hono {
  return createDeployWebhook({ ...ports, views })
}

export function composeSignals(ports: Basics): OnMessage {
  const signals = createSignals({ ...ports, views: createLiveViews(ports) })
  return (message) => signals.handle(message)
}

/** Called once a minute by Cloud Scheduler. */
export function composeSweep(ports: Omit<Ports, CloudPorts>, vms: VmLook): () => Promise<void> {
  const sweep = createSweep({ ...ports, vms, views: createLiveViews(ports) })
  return () => sweep.run()
}

/** A wake-up without a cluster can never succeed: it is acknowledged, not repeated for ever. */
async function forCluster(
  message: Message,
  handle: (cluster: string) => Promise<void>,
): Promise<void> {
  const cluster = message.attributes['cluster']
  if (cluster) await handle(cluster)
}
