// Names inside objects that mean other objects: when those are renamed (prefix, suffix, hash), the
// references follow.

import { isObject, type JsonObject } from '../../patch/json.ts'
import { containersOf, objectsIn, podSpecOf } from '../manifest.ts'
import type { Resource } from './resource.ts'

/** Rewrites the references of all objects to what they refer to is called now. */
export function fixReferences(resources: readonly Resource[]): void {
  const byKind = new Map<string, Resource[]>()
  for (const resource of resources) {
    const same = byKind.get(resource.object.kind)
    if (same) same.push(resource)
    else byKind.set(resource.object.kind, [resource])
  }
  for (const { object } of resources) {
    const { namespace } = object.metadata
    visitReferences(object, (holder, member, kind) => {
      const name = holder[member]
      if (typeof name !== 'string') return
      const candidates = (byKind.get(kind) ?? []).filter(({ names }) => names.has(name))
      // One that is called so now needs no rewriting; an old name may have been given up twice.
      if (candidates.some((each) => each.object.metadata.name === name)) return
      const near = candidates.filter((each) => each.object.metadata.namespace === namespace)
      const [found] = near.length > 0 ? near : candidates
      if (found) holder[member] = found.object.metadata.name
    })
  }
}

type Visit = (holder: JsonObject, member: string, kind: string) => void

function visitReferences(object: JsonObject, visit: Visit): void {
  const spec = isObject(object['spec']) ? object['spec'] : undefined
  const podSpec = podSpecOf(object)
  if (podSpec) visitPodSpec(podSpec, visit)
  if (object['kind'] === 'StatefulSet' && spec) visit(spec, 'serviceName', 'Service')
  if (object['kind'] === 'HorizontalPodAutoscaler') {
    const target = spec?.['scaleTargetRef']
    if (isObject(target) && typeof target['kind'] === 'string')
      visit(target, 'name', target['kind'])
  }
  if (object['kind'] === 'Ingress' && spec) visitIngress(spec, visit)
  if (object['kind'] === 'ServiceAccount') {
    for (const member of ['imagePullSecrets', 'secrets']) {
      for (const each of objectsIn(object, member)) visit(each, 'name', 'Secret')
    }
  }
}

function visitPodSpec(podSpec: JsonObject, visit: Visit): void {
  visit(podSpec, 'serviceAccountName', 'ServiceAccount')
  visit(podSpec, 'priorityClassName', 'PriorityClass')
  for (const each of objectsIn(podSpec, 'imagePullSecrets')) visit(each, 'name', 'Secret')
  for (const volume of objectsIn(podSpec, 'volumes')) visitVolume(volume, visit)
  for (const container of containersOf(podSpec)) {
    for (const each of objectsIn(container, 'envFrom')) {
      visitMember(each, 'configMapRef', 'name', 'ConfigMap', visit)
      visitMember(each, 'secretRef', 'name', 'Secret', visit)
    }
    for (const { valueFrom } of objectsIn(container, 'env')) {
      if (!isObject(valueFrom)) continue
      visitMember(valueFrom, 'configMapKeyRef', 'name', 'ConfigMap', visit)
      visitMember(valueFrom, 'secretKeyRef', 'name', 'Secret', visit)
    }
  }
}

function visitVolume(volume: JsonObject, visit: Visit): void {
  visitMember(volume, 'configMap', 'name', 'ConfigMap', visit)
  visitMember(volume, 'secret', 'secretName', 'Secret', visit)
  visitMember(volume, 'persistentVolumeClaim', 'claimName', 'PersistentVolumeClaim', visit)
  const { projected } = volume
  for (const source of objectsIn(isObject(projected) ? projected : undefined, 'sources')) {
    visitMember(source, 'configMap', 'name', 'ConfigMap', visit)
    visitMember(source, 'secret', 'name', 'Secret', visit)
  }
}

function visitIngress(spec: JsonObject, visit: Visit): void {
  const backend = (holder: unknown): void => {
    if (isObject(holder)) visitMember(holder, 'service', 'name', 'Service', visit)
  }
  backend(spec['defaultBackend'])
  for (const { http } of objectsIn(spec, 'rules')) {
    for (const each of objectsIn(isObject(http) ? http : undefined, 'paths'))
      backend(each['backend'])
  }
  for (const each of objectsIn(spec, 'tls')) visit(each, 'secretName', 'Secret')
}

function visitMember(
  holder: JsonObject,
  member: string,
  field: string,
  kind: string,
  visit: Visit,
): void {
  const inner = holder[member]
  if (isObject(inner)) visit(inner, field, kind)
}
