// Which Ingresses are served here: by their class, in either way of naming it.

import {
  INGRESS_CLASSES,
  INGRESS_CONTROLLER,
  OWN_CLASS,
  type IngressClass,
} from '../api/ingress-class.ts'
import { CLASS_ANNOTATION, INGRESSES, type Ingress } from '../api/ingress.ts'
import { keyOf } from '../key.ts'
import type { Reader } from '../view/reader.ts'

/** Holds an Ingress until the balancer no longer knows it. GKE's name. */
export const INGRESS_FINALIZER = 'networking.gke.io/ingress-finalizer-V2'

export function holdsEntry({ metadata }: Ingress): boolean {
  return metadata.finalizers?.includes(INGRESS_FINALIZER) ?? false
}

/** True for an Ingress of our class that is to be served; one without any class is, as on GKE. */
export function isServed(reader: Reader, ingress: Ingress): boolean {
  if (ingress.metadata.deletionTimestamp !== undefined) return false
  const name = ingress.spec.ingressClassName ?? ingress.metadata.annotations?.[CLASS_ANNOTATION]
  if (!name) return true
  const found = reader.get(keyOf(INGRESS_CLASSES, '', name)) as IngressClass | undefined
  // The annotation works without an object, and where somebody has deleted ours.
  return found ? found.spec.controller === INGRESS_CONTROLLER : name === OWN_CLASS
}

/** The Ingresses to serve, the oldest first: where two want the same, it wins. */
export function servedIngresses(reader: Reader): Ingress[] {
  return (reader.list(INGRESSES) as readonly Ingress[])
    .filter((ingress) => isServed(reader, ingress))
    .toSorted((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1))
}

function orderOf({ metadata }: Ingress): string {
  return `${metadata.creationTimestamp} ${metadata.namespace}/${metadata.name}`
}

/** `default/shop`. */
export function nameOf({ metadata }: Ingress): string {
  return `${metadata.namespace}/${metadata.name}`
}
