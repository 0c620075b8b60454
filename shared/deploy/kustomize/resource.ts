// An object on its way through kustomizations: what it is called now, and what it was called before,
// because references and patches may use any of its names.

import type { Manifest } from '../manifest.ts'

export interface Resource {
  object: Manifest
  /** Names it had in the files and kustomizations below. */
  names: Set<string>
  /** Made by a generator whose name gets a hash of the content in the end. */
  wantsHash: boolean
}

export function resourceOf(object: Manifest, wantsHash = false): Resource {
  return { object, names: new Set([object.metadata.name]), wantsHash }
}

/** Gives it another name and remembers the old one. */
export function rename(resource: Resource, name: string): void {
  resource.names.add(resource.object.metadata.name)
  resource.object.metadata.name = name
}

/** `apps` of `apps/v1`; '' for the core group. */
export function groupOf(apiVersion: string): string {
  return apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
}

export function versionOf(apiVersion: string): string {
  return apiVersion.slice(apiVersion.indexOf('/') + 1)
}
