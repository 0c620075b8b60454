// The StorageClasses that a cluster starts with: those of GKE.
// https://cloud.google.com/kubernetes-engine/docs/concepts/persistent-volumes#storageclasses

import type { KubeObject } from '../../api/meta.ts'
import type { StorageClass } from '../../api/storage-class.ts'
import { GCE_PD_PLUGIN, PD_DRIVER } from '../../api/volume-spec.ts'

interface Facts {
  name: string
  provisioner: string
  type: string
  mode: NonNullable<StorageClass['volumeBindingMode']>
  isDefault?: true
}

/** GKE's mark on what its addon manager makes again when it is missing. */
export const ADDON_LABELS = { 'addonmanager.kubernetes.io/mode': 'EnsureExists' }

const CLASSES: readonly Facts[] = [
  { name: 'premium-rwo', provisioner: PD_DRIVER, type: 'pd-ssd', mode: 'WaitForFirstConsumer' },
  { name: 'standard', provisioner: GCE_PD_PLUGIN, type: 'pd-standard', mode: 'Immediate' },
  {
    name: 'standard-rwo',
    provisioner: PD_DRIVER,
    type: 'pd-balanced',
    mode: 'WaitForFirstConsumer',
    isDefault: true,
  },
]

/** Complete objects; `metaOf` gives each its uid and time. */
export function standardClasses(
  metaOf: (kind: string, name: string) => KubeObject['metadata'],
): StorageClass[] {
  return CLASSES.map(({ name, provisioner, type, mode, isDefault }) => ({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: {
      ...metaOf('StorageClass', name),
      labels: ADDON_LABELS,
      ...(isDefault
        ? { annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } }
        : {}),
    },
    provisioner,
    parameters: { type },
    reclaimPolicy: 'Delete' as const,
    allowVolumeExpansion: true,
    volumeBindingMode: mode,
  }))
}
