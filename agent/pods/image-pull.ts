// Has a container's image on the node, fetched when its policy says so: kubelet's rules and words
// (pkg/kubelet/images).

import type { Container, Pod } from '#shared/api/pod.ts'
import { credentialsFor, parseDockerConfig } from '../runtime/credential.ts'
import type { RegistryCredential } from '../runtime/credential.ts'
import { normaliseImage, StartRefused } from '../runtime/runtime.ts'
import type { Image } from '../runtime/runtime.ts'
import { decode } from './env.ts'
import type { NodeContext } from './node-context.ts'

export type Announce = (type: 'Normal' | 'Warning', reason: string, message: string) => void

/** The image, fetched when the policy says so. */
export async function resolveImage(
  pod: Pod,
  container: Container,
  node: NodeContext,
  announce: Announce,
): Promise<Image> {
  const name = container.image ?? ''
  const reference = normaliseImage(name)
  if (!reference) {
    const why = `Failed to apply default image tag "${name}": couldn't parse image name "${name}": invalid reference format`
    announce('Warning', 'InspectFailed', why)
    throw new StartRefused('InvalidImageName', why)
  }
  const policy =
    container.imagePullPolicy ?? (reference.endsWith(':latest') ? 'Always' : 'IfNotPresent')
  const present = policy === 'Always' ? undefined : await node.runtime.findImage(reference)
  if (present) {
    announce('Normal', 'Pulled', `Container image "${name}" already present on machine`)
    return present
  }
  if (policy === 'Never') {
    const why = `Container image "${name}" is not present with pull policy of Never`
    announce('Warning', 'ErrImageNeverPull', why)
    throw new StartRefused('ErrImageNeverPull', why)
  }
  const credentials = pullCredentials(pod, reference, node, announce)
  announce('Normal', 'Pulling', `Pulling image "${name}"`)
  const begun = performance.now()
  try {
    const image = await node.runtime.pullImage(reference, {
      credentials,
      onProgress: progressTeller(name, announce, () => node.now()),
    })
    const took = goTime(performance.now() - begun)
    announce(
      'Normal',
      'Pulled',
      `Successfully pulled image "${name}" in ${took} (${took} including waiting). Image size: ${image.sizeBytes} bytes.`,
    )
    return image
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    announce('Warning', 'Failed', `Failed to pull image "${name}": ${why}`)
    throw new StartRefused('ErrImagePull', why, { cause: error })
  }
}

/** The pod's own, in the order of the keyring. */
function pullCredentials(
  { metadata, spec }: Pod,
  reference: string,
  node: NodeContext,
  announce: Announce,
): RegistryCredential[] {
  const { secrets } = node.configuration()
  const missing: string[] = []
  const all = (spec.imagePullSecrets ?? []).flatMap(({ name = '' }) => {
    const secret = secrets.get(`${metadata.namespace}/${name}`)
    const text = secret?.data?.['.dockerconfigjson'] ?? secret?.data?.['.dockercfg']
    const parsed = text === undefined ? undefined : parseDockerConfig(decode(text).toString())
    if (!parsed) missing.push(name)
    return parsed ?? []
  })
  if (missing.length > 0) {
    const what = `Unable to retrieve some image pull secrets (${missing.join(', ')})`
    const so = 'attempting to pull the image may not succeed.'
    announce('Warning', 'FailedToRetrieveImagePullSecret', `${what}; ${so}`)
  }
  return credentialsFor(reference, all)
}

const PROGRESS_MS = 15_000
const PROGRESS_EVENTS_MAX = 20

/** Tells of a long pull now and then: an event a quarter of a minute, and not for ever. */
function progressTeller(
  name: string,
  announce: Announce,
  now: () => number,
): (doneBytes: number, totalBytes: number) => void {
  let toldAt = now()
  let told = 0
  return (doneBytes, totalBytes) => {
    if (now() - toldAt < PROGRESS_MS || told >= PROGRESS_EVENTS_MAX) return
    toldAt = now()
    told++
    const [done, total] = [doneBytes, totalBytes].map((bytes) => `${Math.round(bytes / 1e6)} MB`)
    announce('Normal', 'Pulling', `Pulling image "${name}": ${done} of ${total}`)
  }
}

/** As Go prints a duration of milliseconds: `850ms`, `2.4s`. */
function goTime(ms: number): string {
  return ms < 1000 ? `${Math.max(1, Math.round(ms))}ms` : `${Math.round(ms) / 1000}s`
}
