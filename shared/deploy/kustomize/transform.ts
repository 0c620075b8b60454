// kustomize's transformers: each changes all objects of one kustomization in place.

import { kindOfObject } from '../../api/catalog.ts'
import { isObject, type JsonObject } from '../../patch/json.ts'
import { containersOf, podSpecOf, podTemplateOf, type Manifest } from '../manifest.ts'
import { renderError } from '../tree.ts'
import { reader, type Kustomization } from './kustomization.ts'
import { rename, type Resource } from './resource.ts'

/** Kinds without a namespace that this system does not serve. */
const CLUSTER_SCOPED =
  /^(Cluster.*|CustomResourceDefinition|StorageClass|PersistentVolume|.*WebhookConfiguration|APIService|CSIDriver|IngressClass)$/

/** Puts everything that has a namespace into this one; a Namespace gets its name. */
export function setNamespace(namespace: string, resources: readonly Resource[]): void {
  if (!namespace) return
  for (const resource of resources) {
    const { object } = resource
    if (object.kind === 'Namespace' && object.apiVersion === 'v1') rename(resource, namespace)
    else if (isNamespaced(object)) object.metadata.namespace = namespace
  }
}

function isNamespaced(object: Manifest): boolean {
  const kind = kindOfObject(object)
  return kind ? kind.isNamespaced : !CLUSTER_SCOPED.test(object.kind)
}

/** namePrefix and nameSuffix. Namespaces keep their names, as in kustomize. */
export function addNames(prefix: string, suffix: string, resources: readonly Resource[]): void {
  if (!prefix && !suffix) return
  for (const resource of resources) {
    const { kind, metadata } = resource.object
    if (kind === 'Namespace' || kind === 'CustomResourceDefinition') continue
    rename(resource, `${prefix}${metadata.name}${suffix}`)
  }
}

/** commonLabels (selectors too) and labels (as each entry says). */
export function addLabels(kustomization: Kustomization, resources: readonly Resource[]): void {
  const { commonLabels, labels, path } = kustomization
  const entries = labels.map((entry) => {
    const get = reader(entry, `${path}: labels`)
    if (entry['fields'] !== undefined) throw renderError(path, 'labels.fields is not supported')
    const inSelectors = get.flag('includeSelectors')
    return {
      pairs: get.map('pairs'),
      inSelectors,
      inTemplates: inSelectors || get.flag('includeTemplates'),
    }
  })
  const all = [...entries, { pairs: commonLabels, inSelectors: true, inTemplates: true }]
  for (const { pairs, inSelectors, inTemplates } of all) {
    if (Object.keys(pairs).length === 0) continue
    for (const { object } of resources) {
      object.metadata.labels = { ...object.metadata.labels, ...pairs }
      if (inTemplates) labelTemplate(object, pairs)
      if (inSelectors) labelSelectors(object, pairs)
    }
  }
}

function labelTemplate(object: Manifest, pairs: Record<string, string>): void {
  const template = podTemplateOf(object)
  if (!template || template === object) return
  const metadata = memberIn(template, 'metadata')
  metadata['labels'] = { ...asObject(metadata['labels']), ...pairs }
}

/** Kinds whose selector is made when there is none. */
const SELECTING = new Set(['Deployment', 'ReplicaSet', 'DaemonSet', 'StatefulSet'])

function labelSelectors(object: Manifest, pairs: Record<string, string>): void {
  const { spec } = object
  if (!isObject(spec)) return
  if (object.kind === 'Service' || object.kind === 'ReplicationController') {
    if (isObject(spec['selector']) || object.kind === 'ReplicationController') {
      spec['selector'] = { ...asObject(spec['selector']), ...pairs }
    }
    return
  }
  const { selector } = spec
  if (!SELECTING.has(object.kind) && !isObject(selector)) return
  if (!SELECTING.has(object.kind) && object.kind !== 'PodDisruptionBudget') return
  const labels = memberIn(memberIn(spec, 'selector'), 'matchLabels')
  Object.assign(labels, pairs)
}

/** commonAnnotations, on objects and pod templates. */
export function addAnnotations(
  annotations: Record<string, string>,
  resources: readonly Resource[],
): void {
  if (Object.keys(annotations).length === 0) return
  for (const { object } of resources) {
    object.metadata.annotations = { ...object.metadata.annotations, ...annotations }
    const template = podTemplateOf(object)
    if (!template || template === object) continue
    const metadata = memberIn(template, 'metadata')
    metadata['annotations'] = { ...asObject(metadata['annotations']), ...annotations }
  }
}

/** replicas: by the workload's name. */
export function setReplicas(
  { replicas, path }: Kustomization,
  resources: readonly Resource[],
): void {
  for (const entry of replicas) {
    const name = reader(entry, `${path}: replicas`).text('name')
    const { count } = entry
    if (typeof count !== 'number') throw renderError(path, 'replicas.count must be a number')
    const found = resources.filter(
      ({ object, names }) =>
        ['Deployment', 'ReplicaSet', 'StatefulSet', 'ReplicationController'].includes(
          object.kind,
        ) &&
        (object.metadata.name === name || names.has(name)),
    )
    if (found.length === 0) throw renderError(path, `replicas: there is no workload ${name}`)
    for (const { object } of found) memberIn(object, 'spec')['replicas'] = count
  }
}

/** images: new names, tags and digests, wherever a container uses the image. */
export function setImages({ images, path }: Kustomization, resources: readonly Resource[]): void {
  for (const entry of images) {
    const get = reader(entry, `${path}: images`)
    const change = {
      name: get.text('name'),
      newName: get.text('newName'),
      newTag: get.text('newTag'),
      digest: get.text('digest'),
    }
    for (const { object } of resources) {
      for (const container of containersOf(podSpecOf(object))) {
        const { image } = container
        if (typeof image === 'string') container['image'] = changedImage(image, change)
      }
    }
  }
}

/** Longer ones are no images, and would be slow to take apart. */
const IMAGE_LENGTH_MAX = 1024

/** The image after one entry of `images`. */
export function changedImage(
  image: string,
  change: { name: string; newName: string; newTag: string; digest: string },
): string {
  const [, name = '', tag = '', digest = ''] =
    /^(.+?)(:[^:/@]+)?(@sha256:[0-9a-f]+)?$/.exec(image) ?? []
  if (name !== change.name || image.length > IMAGE_LENGTH_MAX) return image
  const base = change.newName || name
  if (change.digest) return `${base}${change.newTag ? `:${change.newTag}` : ''}@${change.digest}`
  if (change.newTag) return `${base}:${change.newTag}`
  return `${base}${tag}${digest}`
}

function memberIn(object: JsonObject, name: string): JsonObject {
  const present = object[name]
  if (isObject(present)) return present
  const made: JsonObject = {}
  object[name] = made
  return made
}

function asObject(value: unknown): JsonObject {
  return isObject(value) ? value : {}
}
