// The kind Pod, put together: pod.ts has its type, pod-defaults.ts, pod-validation.ts and
// pod-columns.ts what is done with it.

import { ALL_VERBS } from './kind.ts'
import type { KindDefinition, Subresource } from './kind.ts'
import { POD_COLUMNS, podCells } from './pod-columns.ts'
import { applyPodDefaults } from './pod-defaults.ts'
import { validatePod } from './pod-validation.ts'
import type { Pod } from './pod.ts'

export const podKind: KindDefinition<Pod> = {
  group: '',
  version: 'v1',
  kind: 'Pod',
  plural: 'pods',
  singular: 'pod',
  shortNames: ['po'],
  categories: ['all'],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [
    stream('attach', 'PodAttachOptions'),
    {
      name: 'binding',
      verbs: ['create'],
      responseKind: { group: '', version: 'v1', kind: 'Binding' },
    },
    {
      name: 'eviction',
      verbs: ['create'],
      responseKind: { group: 'policy', version: 'v1', kind: 'Eviction' },
    },
    stream('exec', 'PodExecOptions'),
    { name: 'log', verbs: ['get'] },
    stream('portforward', 'PodPortForwardOptions'),
    { name: 'status', verbs: ['get', 'patch', 'update'] },
  ],
  columns: POD_COLUMNS,
  cells: podCells,
  applyDefaults: applyPodDefaults,
  validate: validatePod,
  hasStatus: true,
  hasGeneration: false,
  fieldSelectors: {
    'spec.nodeName': (pod) => pod.spec.nodeName ?? '',
    'spec.restartPolicy': (pod) => pod.spec.restartPolicy ?? '',
    'spec.schedulerName': (pod) => pod.spec.schedulerName ?? '',
    'spec.serviceAccountName': (pod) => pod.spec.serviceAccountName ?? '',
    'spec.hostNetwork': (pod) => String(pod.spec.hostNetwork ?? false),
    'status.phase': (pod) => pod.status?.phase ?? '',
    'status.podIP': (pod) => pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP ?? '',
    'status.nominatedNodeName': (pod) => pod.status?.nominatedNodeName ?? '',
  },
  gracePeriodSeconds: (pod) => pod.spec.terminationGracePeriodSeconds ?? 30,
  returnsDeletedObject: true,
}

/** GET opens it as a WebSocket, POST as SPDY. */
function stream(name: string, kind: string): Subresource {
  return { name, verbs: ['create', 'get'], responseKind: { group: '', version: 'v1', kind } }
}
