// How server-side apply merges lists, maps and structs, where it is not the default. The markers
// (+listType, +listMapKey, +mapType, +structType) are comments in Kubernetes' sources and reach no
// binary, so this table is written by hand. Not named here: lists are atomic, maps and structs are
// merged key by key. Used by generate.mjs only.

const CONDITIONS = { conditions: 'map(type)' }
const CONTAINER = {
  ports: 'map(containerPort,protocol)',
  env: 'map(name)',
  volumeMounts: 'map(mountPath)',
  volumeDevices: 'map(devicePath)',
}

/** Per struct and field: `set`, `map(key,…)` for lists, `atomic` for maps. */
export const LIST_TYPES = {
  'meta/v1.ObjectMeta': { ownerReferences: 'map(uid)', finalizers: 'set' },
  'core/v1.Container': CONTAINER,
  'core/v1.EphemeralContainerCommon': CONTAINER,
  'core/v1.ContainerStatus': {
    volumeMounts: 'map(mountPath)',
    allocatedResourcesStatus: 'map(name)',
  },
  'core/v1.ResourceStatus': { resources: 'map(resourceID)' },
  'core/v1.ResourceRequirements': { claims: 'map(name)' },
  'core/v1.ContainerRestartRuleOnExitCodes': { values: 'set' },
  'core/v1.PodSpec': {
    volumes: 'map(name)',
    initContainers: 'map(name)',
    containers: 'map(name)',
    ephemeralContainers: 'map(name)',
    nodeSelector: 'atomic',
    imagePullSecrets: 'map(name)',
    hostAliases: 'map(ip)',
    topologySpreadConstraints: 'map(topologyKey,whenUnsatisfiable)',
    schedulingGates: 'map(name)',
    resourceClaims: 'map(name)',
  },
  'core/v1.PodStatus': {
    ...CONDITIONS,
    podIPs: 'map(ip)',
    resourceClaimStatuses: 'map(name)',
  },
  'core/v1.PersistentVolumeClaimStatus': CONDITIONS,
  'core/v1.ReplicationControllerSpec': { selector: 'atomic' },
  'core/v1.ReplicationControllerStatus': CONDITIONS,
  'core/v1.ServiceSpec': { ports: 'map(port,protocol)', selector: 'atomic' },
  'core/v1.ServiceStatus': CONDITIONS,
  'core/v1.ServiceAccount': { secrets: 'map(name)' },
  'core/v1.NodeSpec': { podCIDRs: 'set' },
  'core/v1.NodeStatus': { ...CONDITIONS, addresses: 'map(type)' },
  'core/v1.NamespaceStatus': CONDITIONS,
  'core/v1.ComponentStatus': CONDITIONS,
  'apps/v1.StatefulSetStatus': CONDITIONS,
  'apps/v1.DeploymentStatus': CONDITIONS,
  'apps/v1.DaemonSetStatus': CONDITIONS,
  'apps/v1.ReplicaSetStatus': CONDITIONS,
  'batch/v1.PodFailurePolicyOnExitCodesRequirement': { values: 'set' },
  'batch/v1.UncountedTerminatedPods': { succeeded: 'set', failed: 'set' },
  'autoscaling/v2.HorizontalPodAutoscalerStatus': CONDITIONS,
  'policy/v1.PodDisruptionBudgetStatus': CONDITIONS,
  'networking/v1.ServiceCIDRStatus': CONDITIONS,
  'discovery/v1.Endpoint': { addresses: 'set' },
  'storage/v1.CSIDriverSpec': { volumeLifecycleModes: 'set' },
  'storage/v1.CSINodeSpec': { drivers: 'map(name)' },
  'node/v1.Scheduling': { nodeSelector: 'atomic' },
  'apiextensions/v1.CustomResourceDefinitionStatus': { conditions: 'map(type)' },
}

/** Structs that are set as one, never merged. */
export const ATOMIC_STRUCTS = new Set([
  'meta/v1.LabelSelector',
  'meta/v1.OwnerReference',
  'core/v1.SecretReference',
  'core/v1.FileKeySelector',
  'core/v1.ObjectFieldSelector',
  'core/v1.ResourceFieldSelector',
  'core/v1.ConfigMapKeySelector',
  'core/v1.SecretKeySelector',
  'core/v1.NodeSelector',
  'core/v1.NodeSelectorTerm',
  'core/v1.TopologySelectorTerm',
  'core/v1.EndpointAddress',
  'core/v1.EndpointPort',
  'core/v1.ObjectReference',
  'core/v1.LocalObjectReference',
  'core/v1.TypedLocalObjectReference',
  'core/v1.ScopeSelector',
  'autoscaling/v1.CrossVersionObjectReference',
  'networking/v1.ServiceBackendPort',
  'discovery/v1.EndpointPort',
  'rbac/v1.Subject',
  'rbac/v1.RoleRef',
])

/** `+structType=granular` on a field whose struct is atomic elsewhere. */
export const GRANULAR_FIELDS = new Set(['core/v1.PersistentVolumeSpec.claimRef'])
