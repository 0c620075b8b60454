// What is written down before anything is made on Google Cloud: finalizers (so that nothing is left
// behind), the names of groups, the agents' token. A crash after this loses nothing. Pure.

import { AGENT_TOKEN_SECRET } from '#shared/api/agent-wire.ts'
import type { Secret } from '#shared/api/config.ts'
import { INGRESSES, type Ingress } from '#shared/api/ingress.ts'
import {
  LOAD_BALANCER_FINALIZER,
  NODE_POOL_FINALIZER,
  type NodePool,
} from '#shared/api/node-pool.ts'
import type { Service } from '#shared/api/service.ts'
import { keyOf, splitKey, type Key } from '#shared/key.ts'
import { draftMeta, withMeta } from '#shared/reconcile/draft.ts'
import {
  IN_SYNC,
  type EventDraft,
  type Outcome,
  type PlannedWrite,
  type Reconciler,
} from '#shared/reconcile/outcome.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { ClusterFacts } from './config.ts'
import { ingressIntent } from './ingresses.ts'
import { groupName } from './names.ts'
import {
  balancedServices,
  holdsBalancer,
  holdsGroup,
  isLeaving,
  NODE_POOLS,
  nodePools,
  TOKEN_KEY,
  wantsBalancer,
} from './wishes.ts'

/** The keys of node pools and load balancers. */
export function cloudKeys(reader: Reader): Key[] {
  return [
    ...nodePools(reader).map(({ metadata }) => keyOf(NODE_POOLS, '', metadata.name)),
    ...balancedServices(reader).map(({ metadata }) =>
      keyOf('services', metadata.namespace, metadata.name),
    ),
  ]
}

export function intents(facts: ClusterFacts, newToken: () => string): Reconciler {
  return {
    name: 'cloud-intents',
    wakes: () => [],
    reconcile(reader, key) {
      const object = reader.get(key)
      if (!object) return IN_SYNC
      switch (splitKey(key).resource) {
        case NODE_POOLS:
          return poolIntent(reader, object as NodePool, facts, newToken)
        case INGRESSES:
          return ingressIntent(reader, object as Ingress)
        case 'services':
          return serviceIntent(object as Service)
        default:
          return IN_SYNC
      }
    },
  }
}

function poolIntent(
  reader: Reader,
  pool: NodePool,
  facts: ClusterFacts,
  newToken: () => string,
): Outcome {
  if (isLeaving(pool)) return IN_SYNC
  const writes: PlannedWrite[] = []
  if (!reader.get(TOKEN_KEY)) writes.push({ do: 'put', object: tokenSecret(newToken()) })
  if (!holdsGroup(pool) || !pool.status?.instanceGroup) {
    const { finalizers = [], name } = pool.metadata
    const object: NodePool = {
      ...withMeta(pool, {
        finalizers: [
          ...finalizers.filter((one) => one !== NODE_POOL_FINALIZER),
          NODE_POOL_FINALIZER,
        ],
      }),
      status: {
        phase: 'Provisioning',
        ...pool.status,
        instanceGroup: pool.status?.instanceGroup ?? groupName(facts.id, facts.displayName, name),
      },
    }
    writes.push({ do: 'put', object })
  }
  return { writes }
}

function tokenSecret(token: string): Secret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: draftMeta({ name: AGENT_TOKEN_SECRET, namespace: 'kube-system' }),
    type: 'Opaque',
    data: { token: btoa(token) },
  }
}

function serviceIntent(service: Service): Outcome {
  if (!wantsBalancer(service) || holdsBalancer(service)) return IN_SYNC
  const finalizers = [...(service.metadata.finalizers ?? []), LOAD_BALANCER_FINALIZER]
  const object = withMeta(service, { finalizers })
  return { writes: [{ do: 'put', object }], events: [ensuring(object)] }
}

function ensuring(service: Service): EventDraft {
  return {
    about: service,
    type: 'Normal',
    reason: 'EnsuringLoadBalancer',
    message: 'Ensuring load balancer',
    source: 'service-controller',
  }
}
