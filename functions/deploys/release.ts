// What was deployed, kept beside the objects and committed with them: a rollback needs neither GitHub
// nor a second rendering, and drift is a difference from it. A Secret, because the manifests may hold
// some. Helm keeps its releases in the same way.

import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import type { Secret } from '#shared/api/config.ts'
import { OWNER_ANNOTATION, type ImagePin, type Repository } from '#shared/api/repository.ts'
import { manifestsOf, type Manifest } from '#shared/deploy/manifest.ts'
import { keyOf, type Key } from '#shared/key.ts'
import type { Write } from '#shared/ports/store.ts'
import { derivedUid } from '#shared/hash.ts'
import { formatTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import { textIn } from './credentials.ts'
import type { Target } from './targets.ts'

const RELEASE_TYPE = 'deploy.wherry.dev/release'
const UNPACKED_MAX = 64_000_000
const pack = promisify(gzip)
const unpack = promisify(gunzip)

/** `web-release-0123456789ab`, with images `web-release-0123456789ab-x7k2p…`. */
function releaseName({ prefix }: Target, release: string): string {
  const [commit = '', images] = release.split('+')
  return `${prefix}${commit.slice(0, 12)}${images ? `-${images}` : ''}`
}

export interface Release {
  manifests: Manifest[]
  images: ImagePin[]
}

function releaseKey(repository: Repository, target: Target, commit: string): Key {
  return keyOf('secrets', repository.metadata.namespace, releaseName(target, commit))
}

/** What a former deploy was; undefined when it is not kept any more. */
export async function readRelease(
  reader: Reader,
  repository: Repository,
  target: Target,
  commit: string,
): Promise<Release | undefined> {
  const secret: Secret | undefined = reader.get(releaseKey(repository, target, commit))
  const data = secret?.data?.['manifests']
  if (secret?.type !== RELEASE_TYPE || !data) return undefined
  const text = await unpack(Buffer.from(data, 'base64'), { maxOutputLength: UNPACKED_MAX })
  const documents: unknown = JSON.parse(text.toString())
  if (!Array.isArray(documents)) return undefined
  const images: unknown = JSON.parse(textIn(secret, 'images') || '[]')
  return {
    manifests: manifestsOf(documents, 'the release'),
    images: Array.isArray(images) ? (images as ImagePin[]) : [],
  }
}

export async function packManifests(manifests: readonly Manifest[]): Promise<string> {
  return (await pack(JSON.stringify(manifests))).toString('base64')
}

/** Keeps this release and removes those that nobody would go back to. */
export function releaseWrites(
  reader: Reader,
  repository: Repository,
  target: Target,
  release: {
    id: string
    packed: string
    images: readonly ImagePin[]
    keep: readonly (string | undefined)[]
    now: number
  },
): Write[] {
  const { id, packed, images, now } = release
  const { metadata } = repository
  const key = releaseKey(repository, target, id)
  const present = reader.get(key)
  const kept = new Set(
    [...release.keep, id].flatMap((each) => (each ? [releaseName(target, each)] : [])),
  )
  const gone = (reader.list('secrets', metadata.namespace) as readonly Secret[]).filter(
    (secret) =>
      secret.type === RELEASE_TYPE &&
      secret.metadata.annotations?.[OWNER_ANNOTATION] === target.owner &&
      !kept.has(secret.metadata.name),
  )
  const name = releaseName(target, id)
  const secret: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      ...(metadata.namespace ? { namespace: metadata.namespace } : {}),
      uid: present?.metadata.uid ?? derivedUid('release', metadata.uid, name, now),
      creationTimestamp: present?.metadata.creationTimestamp ?? formatTime(now),
      annotations: { [OWNER_ANNOTATION]: target.owner },
      labels: { 'deploy.wherry.dev/release-of': metadata.name },
      ownerReferences: [
        {
          apiVersion: repository.apiVersion,
          kind: repository.kind,
          name: metadata.name,
          uid: metadata.uid,
          controller: true,
        },
      ],
    },
    type: RELEASE_TYPE,
    data: {
      manifests: packed,
      ...(images.length > 0 ? { images: btoa(JSON.stringify(images)) } : {}),
    },
  }
  return [
    { key, object: secret, expect: present?.metadata.resourceVersion ?? null },
    ...gone.map(({ metadata: old }) => ({
      key: keyOf('secrets', old.namespace, old.name),
      object: null,
      expect: old.resourceVersion ?? null,
    })),
  ]
}
