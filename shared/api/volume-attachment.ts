// VolumeAttachment (storage.k8s.io/v1): that a volume shall be attached to a node's VM, and whether it
// is. Made by shared/reconcile/volumes/attach.ts, carried out by the cloud function.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume-attachment-v1/

import { isEqual } from '../equal.ts'
import { derivedUid } from '../hash.ts'
import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, ageOf, column } from './columns.ts'
import { IMMUTABLE, child, forbidden, invalidEach, invalidValue, required } from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateMeta } from './meta-validation.ts'
import { dnsSubdomainProblems } from './name-rules.ts'
import { validateInlineVolume } from './persistent-volume-validation.ts'
import type { PersistentVolumeSpec } from './persistent-volume.ts'

export interface VolumeAttachment extends KubeObject {
  spec: {
    attacher: string
    nodeName: string
    source: { persistentVolumeName?: string; inlineVolumeSpec?: PersistentVolumeSpec }
  }
  status?: {
    attached: boolean
    attachmentMetadata?: Record<string, string>
    attachError?: { time?: string; message?: string }
    detachError?: { time?: string; message?: string }
  }
}

export const VOLUME_ATTACHMENTS = 'volumeattachments.storage.k8s.io'

/** While a VolumeAttachment carries it, the disk may be attached. */
export const ATTACHER_FINALIZER = 'external-attacher/pd-csi-storage-gke-io'

/** attachmentMetadata: which incarnation of the VM the disk was attached to. */
export const ATTACHED_INSTANCE = 'wherry.dev/instance-id'

/** One name for each volume and node, as the attach-detach controller's `csi-<sha256>`. */
export function attachmentName(volume: string, node: string): string {
  const digits = derivedUid('volume', volume, node) + derivedUid('node', node, volume)
  return `csi-${digits.replaceAll('-', '')}`
}

export const volumeAttachmentKind: KindDefinition<VolumeAttachment> = {
  group: 'storage.k8s.io',
  version: 'v1',
  kind: 'VolumeAttachment',
  plural: 'volumeattachments',
  singular: 'volumeattachment',
  shortNames: [],
  categories: [],
  isNamespaced: false,
  verbs: ALL_VERBS,
  subresources: [{ name: 'status', verbs: ['get', 'patch', 'update'] }],
  columns: [
    NAME_COLUMN,
    column('Attacher', 'Who attaches it.'),
    column('PV', 'The volume.'),
    column('Node', 'The node.'),
    column('Attached', 'Whether it is attached.', 'boolean'),
    AGE_COLUMN,
  ],
  cells: (attachment, context) => [
    attachment.metadata.name,
    attachment.spec.attacher,
    attachment.spec.source.persistentVolumeName ?? '',
    attachment.spec.nodeName,
    attachment.status?.attached ?? false,
    ageOf(attachment, context),
  ],
  applyDefaults(draft) {
    draft.status ??= { attached: false }
  },
  validate: validateVolumeAttachment,
  hasStatus: true,
  hasGeneration: false,
}

const NO_SPEC: VolumeAttachment['spec'] = { attacher: '', nodeName: '', source: {} }

function validateVolumeAttachment(
  attachment: VolumeAttachment,
  context: AdmissionContext,
): Cause[] {
  const causes = validateMeta(attachment, { isNamespaced: false }, context)
  const { attacher, nodeName, source } = attachment.spec ?? NO_SPEC
  if (!attacher) causes.push(required('spec.attacher'))
  causes.push(
    ...validateSource('spec.source', source),
    ...invalidEach('spec.nodeName', nodeName ?? '', dnsSubdomainProblems(nodeName ?? '')),
  )
  const old = oldOf(attachment, context)
  if (old && !isEqual(old.spec, attachment.spec)) {
    causes.push(invalidValue('spec', attachment.spec, IMMUTABLE))
  }
  return causes
}

function validateSource(path: FieldPath, source: Partial<VolumeAttachment['spec']['source']> = {}) {
  const { persistentVolumeName: name, inlineVolumeSpec: inline } = source
  const detail = 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'
  if (name !== undefined && inline) return [forbidden(path, detail)]
  if (inline) return validateInlineVolume(child(path, 'inlineVolumeSpec'), inline)
  if (name === undefined) return [required(path, detail)]
  const field = child(path, 'persistentVolumeName')
  return name
    ? invalidEach(field, name, dnsSubdomainProblems(name))
    : [required(field, 'must specify non empty persistentVolumeName')]
}
