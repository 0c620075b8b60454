// Deployment: a number of equal pods, and how to replace them by newer ones.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/

import type { Condition, KubeObject, LabelSelector } from './meta.ts'
import type { IntOrString, PodTemplateSpec } from './pod.ts'

export interface DeploymentSpec {
  replicas?: number
  selector: LabelSelector
  template: PodTemplateSpec
  strategy?: {
    type?: 'RollingUpdate' | 'Recreate'
    rollingUpdate?: { maxSurge?: IntOrString; maxUnavailable?: IntOrString }
  }
  minReadySeconds?: number
  revisionHistoryLimit?: number
  paused?: boolean
  progressDeadlineSeconds?: number
}

export interface DeploymentStatus {
  observedGeneration?: number
  replicas?: number
  updatedReplicas?: number
  readyReplicas?: number
  availableReplicas?: number
  unavailableReplicas?: number
  conditions?: Condition[]
  collisionCount?: number
}

export interface Deployment extends KubeObject {
  spec: DeploymentSpec
  status?: DeploymentStatus
}
