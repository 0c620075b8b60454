// Images that follow what was built: an object says which container wants which tags, and what was found
// for it is applied beside what Git says, under a manager of its own, so that neither takes it from
// the other.

import { IMAGES_ANNOTATION, type ImageEvent, type ImagePin } from '../api/repository.ts'
import { safeName } from '../hash.ts'
import { isObject, type JsonObject } from '../patch/json.ts'
import { containersOf, podSpecOf, shownManifest, type Manifest } from './manifest.ts'
import { compareTags, matchesTag } from './tags.ts'
import { renderError } from './tree.ts'

export interface ImageWant {
  container: string
  /** `ghcr.io/owner/web:1.*`: image and pattern together. */
  wants: string
  image: string
  /** A tag, or a pattern of versions with `*`. */
  pattern: string
}

const WANT =
  /^([a-z0-9-]{1,63})=((?:[a-z0-9.-]+(?::\d+)?\/)?[a-z0-9._/-]+):([A-Za-z0-9._*-]{1,128})$/
const DIGEST = /^sha256:[0-9a-f]{64}$/

/** What the object's annotation asks for. Error: Invalid, it cannot be read or names no container. */
export function wantsOf(manifest: Manifest): ImageWant[] {
  const { annotations }: { annotations?: Record<string, unknown> } = manifest.metadata
  const text = annotations?.[IMAGES_ANNOTATION]
  // Values that are no texts are refused with everything else that is wrong.
  if (typeof text !== 'string' || text === '') return []
  const names = new Set(containersOf(podSpecOf(manifest)).map(({ name }) => name))
  return text.split(',').map((part) => {
    const [, container = '', image = '', pattern = ''] = WANT.exec(part.trim()) ?? []
    const where = `${shownManifest(manifest)}, ${IMAGES_ANNOTATION}`
    if (!container)
      throw renderError(where, `${JSON.stringify(part.trim())} is not CONTAINER=IMAGE:TAG`)
    if (!names.has(container)) throw renderError(where, `there is no container ${container}`)
    return { container, image, pattern, wants: `${image}:${pattern}` }
  })
}

/** Those pins that some object still asks for. */
export function pinsInUse(manifests: readonly Manifest[], pins: readonly ImagePin[]): ImagePin[] {
  const wanted = new Set(manifests.flatMap(wantsOf).map(({ wants }) => wants))
  return pins.filter(({ wants }) => wanted.has(wants))
}

/** Tells the deploys of one commit with different images apart: the commit, or `COMMIT+x7k2p…`. */
export function releaseId(commit: string, pins: readonly ImagePin[]): string {
  if (pins.length === 0) return commit
  const images = pins.map(({ wants, image }) => `${wants} ${image}`).sort()
  return `${commit}+${safeName(10, ...images)}`
}

/** The commit of a release. */
export function commitOf(release: string): string {
  return release.split('+')[0] ?? release
}

/** What one manifest's containers are pinned to: container → image. */
export function pinned(manifest: Manifest, pins: readonly ImagePin[]): Map<string, string> {
  const images = new Map(pins.map(({ wants, image }) => [wants, image]))
  return new Map(
    wantsOf(manifest).flatMap(({ container, wants }) => {
      const image = images.get(wants)
      return image === undefined ? [] : [[container, image] as const]
    }),
  )
}

/** Where a workload's pod spec is. */
function pathOf(manifest: JsonObject): string[] {
  if (manifest['kind'] === 'Pod') return ['spec']
  const { spec } = manifest
  const isCron = isObject(spec) && isObject(spec['jobTemplate'])
  return isCron ? ['spec', 'jobTemplate', 'spec', 'template', 'spec'] : ['spec', 'template', 'spec']
}

/**
 * The manifest in two parts: what Git owns, which leaves the pinned images out, and the images alone.
 */
export function splitImages(
  manifest: JsonObject,
  images: ReadonlyMap<string, string>,
): { git: JsonObject; images: JsonObject } {
  const git = structuredClone(manifest)
  const lists: JsonObject = {}
  for (const member of ['containers', 'initContainers']) {
    const list = podSpecOf(git)?.[member]
    if (!Array.isArray(list)) continue
    const own: JsonObject[] = []
    for (const container of list.filter(isObject)) {
      const name = container['name']
      const image = typeof name === 'string' ? images.get(name) : undefined
      if (image === undefined) continue
      delete container['image']
      own.push({ name, image })
    }
    if (own.length > 0) lists[member] = own
  }
  const nested = pathOf(manifest).reduceRight<JsonObject>(
    (inner, name) => ({ [name]: inner }),
    lists,
  )
  return { git, images: nested }
}

export interface FoundTag {
  tag: string
  digest: string
}

/** What an event says about this want by itself; undefined: the registry must be asked. */
export function foundIn({ image, tag, digest }: ImageEvent, want: ImageWant): FoundTag | undefined {
  if (image !== want.image || !tag || !digest || !DIGEST.test(digest)) return undefined
  return matchesTag(want.pattern, tag) ? { tag, digest } : undefined
}

/** True when the event may be about this want. */
export function isAboutImage({ image, tag }: ImageEvent, want: ImageWant): boolean {
  return image === '' || (image === want.image && (!tag || matchesTag(want.pattern, tag)))
}

/** The pin after `found`; undefined: nothing new. Of versions the highest stays, of one tag the newest. */
export function nextPin(
  { wants, image, pattern }: ImageWant,
  found: FoundTag,
  {
    present,
    skipped,
    now,
  }: { present: ImagePin | undefined; skipped: readonly string[]; now: string },
): ImagePin | undefined {
  const next = `${image}:${found.tag}@${found.digest}`
  if (next === present?.image || skipped.includes(next)) return undefined
  const tag = present && tagOf(present)
  const isOlder = tag !== undefined && pattern.includes('*') && compareTags(found.tag, tag) < 0
  return isOlder ? undefined : { wants, image: next, since: now }
}

function tagOf({ image }: ImagePin): string | undefined {
  return /:([^:@/]+)@/.exec(image)?.[1]
}
