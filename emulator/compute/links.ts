// Links between resources. Clients write them as full URLs, as `projects/p/…` or as `zones/…`; inside
// they are paths without the project: `zones/us-east1-c/instances/x`.

import { invalidField } from './google-error.ts'
import { API_ROOT } from './state.ts'

const PATH = /(?:^|\/)((?:zones\/[^/]+|regions\/[^/]+|global)\/[A-Za-z]+\/[^/]+)$/

/** The path of a link. Error: invalid, naming `field`. */
export function pathOf(link: string, field: string): string {
  const path = PATH.exec(link)?.[1]
  if (path) return path
  throw invalidField(field, link, 'The URL is malformed.')
}

/** `https://www.googleapis.com/compute/v1/projects/p/<path>`. */
export function linkTo(project: string, path: string): string {
  return `${API_ROOT}projects/${project}/${path}`
}

/** The last part: a resource's name. */
export function nameOf(link: string): string {
  return link.slice(link.lastIndexOf('/') + 1)
}

/** `zones/z` of `zones/z/instances/x`. */
export function scopeOf(path: string): string {
  return path.startsWith('global/') ? 'global' : path.split('/').slice(0, 2).join('/')
}

/** `us-east1` of `us-east1-c`. */
export function regionOfZone(zone: string): string {
  return zone.slice(0, zone.lastIndexOf('-'))
}
