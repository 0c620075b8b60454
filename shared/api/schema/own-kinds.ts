// The types of Wherry's own kinds, in the notation of kubernetes.json (see notation.ts).
// Their TypeScript shapes are shared/api/{node-pool,cluster}.ts.

export const OWN_TYPES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'container.wherry.dev/v1.NodePool': {
    TypeMeta: '0 inline',
    metadata: '1 meta/v1.ObjectMeta ?',
    spec: '2 container.wherry.dev/v1.NodePoolSpec !',
    status: '3 container.wherry.dev/v1.NodePoolStatus ?',
  },
  'container.wherry.dev/v1.NodePoolSpec': {
    nodeCount: '1 int32 !',
    zone: '2 string !',
    machineType: '3 string !',
    diskSizeGb: '4 int32 !',
    spot: '5 bool !',
    labels: '6 {}string ?',
    taints: '7 []core/v1.Taint ?',
    autoscaling: '8 *container.wherry.dev/v1.NodePoolAutoscaling ?',
  },
  'container.wherry.dev/v1.NodePoolAutoscaling': {
    enabled: '1 bool !',
    minNodeCount: '2 int32 !',
    maxNodeCount: '3 int32 !',
  },
  'container.wherry.dev/v1.NodePoolStatus': {
    instanceGroup: '1 string ?',
    instances: '2 []container.wherry.dev/v1.PoolInstance ? list:map(name)',
    phase: '3 string ?',
    message: '4 string ?',
  },
  'container.wherry.dev/v1.PoolInstance': {
    name: '1 string !',
    id: '2 string !',
    status: '3 string !',
    creationTimestamp: '4 time !',
    internalIp: '5 string ?',
    externalIp: '6 string ?',
    isHealthy: '7 *bool ?',
  },
}
