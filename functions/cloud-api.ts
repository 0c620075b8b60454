// The api function as Google Cloud serves it: every cluster under its path on one host, the GKE API
// beside them, and who asks is proved by Google's tokens.

import { Hono } from 'hono'
import type { JWTVerifyGetKey } from 'jose'
import { FLEET } from '#shared/api/cluster.ts'
import { keyOf } from '#shared/key.ts'
import type { Bus } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Store } from '#shared/ports/store.ts'
import { agentsInVpc } from './agents.ts'
import { createAuthenticator } from './api/authenticate.ts'
import type { ComponentProbe } from './api/deps.ts'
import { createUpgrade, type UpgradeListener } from './api/exec-upgrade.ts'
import { schedulerProbe } from './api/scheduler-probe.ts'
import { createLiveViews } from './cluster/create-live-views.ts'
import type { LiveViews } from './cluster/live-view.ts'
import { clusterPath, isGooglePath, splitClusterPath } from './cluster-path.ts'
import { composeApi, composeWebhook, type ApiOptions } from './compose.ts'
import { WEBHOOK_PATH } from './deploys/webhook.ts'
import { createGke } from './gke/app.ts'
import { createPeople, type PeopleDeps } from './people.ts'

export interface CloudApiDeps {
  store: Store
  bus: Bus
  clock: Clock
  log: Log
  project: string
  /** `https://wherry-api-1234.us-central1.run.app`; also the audience of VMs' tokens. */
  url: string
  /** Who signs VMs' tokens, and with what keys. */
  issuer: string
  keys: JWTVerifyGetKey
  google: PeopleDeps['google']
  probes: { compute: () => Promise<string>; pubsub: () => Promise<void> }
}

const PING_KEY = keyOf('probes', '', 'ping')

export interface CloudApi extends Pick<Hono, 'fetch'> {
  /** For connections that leave HTTP: kubectl exec. */
  upgrade: UpgradeListener
}

/** The whole app; nothing is sent before the first request. */
export function createCloudApi(deps: CloudApiDeps): CloudApi {
  const { project, url, log } = deps
  const views = createLiveViews(deps)
  const authenticate = createPeople({ views, vm: machines(deps, views), google: deps.google })
  const options: ApiOptions = {
    views,
    authenticate,
    probes: probesOf(deps, views),
    route: ({ path }) => splitClusterPath(path),
    agentEndpoint: agentsInVpc(views),
  }
  const kubernetes = composeApi(deps, options)
  const webhook = composeWebhook(deps, views)
  const gke = createGke({
    ...deps,
    views,
    authenticate,
    log,
    project,
    access: async (cluster) => ({
      endpoint: `${new URL(url).host}${clusterPath(cluster.metadata.name)}`,
      // A certificate of Google's: what every machine trusts.
      ca: '',
    }),
  })
  return {
    fetch: (request) => {
      const { pathname } = new URL(request.url)
      if (pathname.startsWith(`${WEBHOOK_PATH}/`)) return webhook.fetch(request)
      return isGooglePath(pathname) ? gke.fetch(request) : kubernetes.fetch(request)
    },
    upgrade: createUpgrade({ ...deps, ...options }),
  }
}

function machines(
  { issuer, url, project, keys }: CloudApiDeps,
  views: LiveViews,
): ReturnType<typeof createAuthenticator> {
  return createAuthenticator({
    staticTokens: [],
    vm: {
      issuer,
      audience: url,
      project,
      keys,
      read: async (cluster) => (await views.open(cluster)).catchUp(),
    },
  })
}

/** Compute Engine is asked over REST: its client would be the heaviest thing in this function. */
function probesOf(deps: CloudApiDeps, views: LiveViews): ComponentProbe[] {
  const ok = (call: () => Promise<unknown>) => async (): Promise<string> => {
    await call()
    return 'ok'
  }
  return [
    { name: 'compute', check: deps.probes.compute },
    { name: 'firestore', check: ok(() => deps.store.get(FLEET, PING_KEY)) },
    { name: 'pubsub', check: ok(deps.probes.pubsub) },
    schedulerProbe({ views, clock: deps.clock }),
  ]
}
