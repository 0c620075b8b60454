// News of images: which of them objects have asked for, what the tag is now, and one deploy of the same
// commit with it.

import type { ImagePin, Repository, RepositoryStatus } from '#shared/api/repository.ts'
import {
  foundIn,
  isAboutImage,
  nextPin,
  pinsInUse,
  wantsOf,
  type FoundTag,
  type ImageWant,
} from '#shared/deploy/images.ts'
import type { Manifest } from '#shared/deploy/manifest.ts'
import { formatTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import { applyManifests } from './deploy-commit.ts'
import type { Tending } from './deps.ts'
import { GithubRefusal } from './github-errors.ts'
import { readRelease } from './release.ts'
import { updateStatus, withCondition } from './status.ts'
import { mainTarget, releaseOf } from './targets.ts'

/** True when something was committed. Error: GithubBusy: a registry cannot be asked now. */
export async function tendImages(
  tending: Tending,
  repository: Repository,
  reader: Reader,
): Promise<boolean> {
  const { imageEvents = [], deploy, images = [] } = repository.status ?? {}
  if (imageEvents.length === 0) return false
  const target = mainTarget(repository)
  const manifests =
    deploy && (await readRelease(reader, repository, target, releaseOf(deploy)))?.manifests
  // Nothing runs that could follow an image: whatever is deployed next asks for what is new then.
  if (!deploy || !manifests) return forget(tending, repository)
  const { pins, trouble } = await resolve(tending, repository, reader, manifests)
  if (pins.length === 0) return forget(tending, repository, trouble)
  const changed = new Set(pins.map(({ wants }) => wants))
  const next = [...images.filter(({ wants }) => !changed.has(wants)), ...pins]
  await applyManifests(tending, {
    target,
    head: { commit: deploy.commit, subject: deploy.subject ?? '' },
    basis: releaseOf(deploy),
    manifests,
    images: pinsInUse(manifests, next),
    deploymentId: deploy.deploymentId,
    phase: 'Progressing',
    message: pins.map(({ image }) => image).join(', '),
    answered: (status) => answered(tending, repository, status, trouble),
  })
  return true
}

interface Resolved {
  /** What is new. */
  pins: ImagePin[]
  /** Why some could not be asked for, for people. */
  trouble: string | undefined
}

async function resolve(
  tending: Tending,
  repository: Repository,
  reader: Reader,
  manifests: readonly Manifest[],
): Promise<Resolved> {
  const { imageEvents = [], images = [], skipped = [] } = repository.status ?? {}
  const wants = new Map(manifests.flatMap(wantsOf).map((want) => [want.wants, want]))
  const now = formatTime(tending.deps.clock.now())
  const pins: ImagePin[] = []
  const troubles: string[] = []
  for (const want of wants.values()) {
    const about = imageEvents.filter((event) => isAboutImage(event, want))
    if (about.length === 0) continue
    let present = images.find((pin) => pin.wants === want.wants)
    const before = present
    for (const event of about) {
      const found = foundIn(event, want) ?? (await ask(tending, repository, reader, want))
      if (typeof found === 'string') troubles.push(found)
      else if (found) present = nextPin(want, found, { present, skipped, now }) ?? present
    }
    if (present && present !== before) pins.push(present)
  }
  return { pins, trouble: troubles.length > 0 ? [...new Set(troubles)].join('; ') : undefined }
}

/** A text says why the registry does not answer that. */
async function ask(
  tending: Tending,
  repository: Repository,
  reader: Reader,
  want: ImageWant,
): Promise<FoundTag | string | undefined> {
  try {
    return await tending.findImage(repository, reader, want)
  } catch (error) {
    if (error instanceof GithubRefusal) return error.message
    throw error
  }
}

/** The events are answered: others may have come meanwhile. */
function answered(
  { deps }: Tending,
  { status: then }: Repository,
  status: RepositoryStatus,
  trouble: string | undefined,
): RepositoryStatus {
  const { imageEvents = [], ...rest } = status
  const known = new Set(then?.imageEvents?.map(({ id }) => id))
  const left = imageEvents.filter(({ id }) => !known.has(id))
  const isKnown = status.conditions?.some(({ type }) => type === 'Images')
  const told =
    trouble === undefined && !isKnown
      ? rest
      : {
          ...rest,
          conditions: withCondition(
            status.conditions,
            { type: 'Images', trouble, fine: 'registries answer' },
            formatTime(deps.clock.now()),
          ),
        }
  return left.length > 0 ? { ...told, imageEvents: left } : told
}

function forget(tending: Tending, repository: Repository, trouble?: string): Promise<boolean> {
  const { deps, live, key } = tending
  return updateStatus(deps, live, key, 'images', ({ status = {} }) =>
    answered(tending, repository, status, trouble),
  )
}
