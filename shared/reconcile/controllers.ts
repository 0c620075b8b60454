// All controllers in order of precedence: what takes away comes before what fills up, those who count
// pods before those who judge by the counts, the scheduler when all wishes are known.

import { scheduler } from '../schedule/scheduler.ts'
import { addonReconciler } from './addons.ts'
import { deploymentReconciler } from './deployment/deployment.ts'
import { endpointsReconciler } from './endpoints/endpoints.ts'
import { namespaceReconciler } from './namespace.ts'
import { nodeLifecycleReconciler } from './node-lifecycle.ts'
import type { Reconciler } from './outcome.ts'
import { ownerGcReconciler } from './owner-gc.ts'
import { podGcReconciler } from './pod-gc.ts'
import { replicaSetReconciler } from './replica-set/replica-set.ts'
import { resourceQuotaReconciler } from './resource-quota.ts'
import { volumeAttacher } from './volumes/attach.ts'
import { volumeBinder } from './volumes/bind.ts'
import { volumeProtection } from './volumes/protect.ts'

export const CONTROLLERS: readonly Reconciler[] = [
  nodeLifecycleReconciler,
  podGcReconciler,
  namespaceReconciler,
  addonReconciler,
  ownerGcReconciler,
  replicaSetReconciler,
  deploymentReconciler,
  volumeProtection,
  volumeBinder,
  scheduler,
  volumeAttacher,
  endpointsReconciler,
  resourceQuotaReconciler,
]
