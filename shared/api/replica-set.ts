// ReplicaSet: keeps a number of equal pods alive; usually made by a Deployment.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/replica-set-v1/

import type { Condition, KubeObject, LabelSelector } from './meta.ts'
import type { PodTemplateSpec } from './pod.ts'

export interface ReplicaSetSpec {
  replicas?: number
  minReadySeconds?: number
  selector: LabelSelector
  template?: PodTemplateSpec
}

export interface ReplicaSetStatus {
  replicas: number
  fullyLabeledReplicas?: number
  readyReplicas?: number
  availableReplicas?: number
  observedGeneration?: number
  conditions?: Condition[]
}

export interface ReplicaSet extends KubeObject {
  spec: ReplicaSetSpec
  status?: ReplicaSetStatus
}
