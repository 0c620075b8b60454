// Under which user and with which rights a container runs: its securityContext over that of the pod,
// as kubelet's DetermineEffectiveSecurityContext. What cannot be given is refused in kubelet's words.

import { isRecord } from '../json.ts'
import type { Container, Pod } from '#shared/api/pod.ts'
import { StartRefused } from '../runtime/runtime.ts'
import type { Image, Security } from '../runtime/runtime.ts'

/** StartRefused: the image runs as root and must not, or the node gives no such rights. */
export function securityOf(
  pod: Pod,
  container: Container,
  image: Pick<Image, 'user'>,
  node: { allowsPrivileged: boolean },
): Security {
  const ofPod = pod.spec.securityContext ?? {}
  const own = container.securityContext ?? {}
  const pick = (key: string): unknown => own[key] ?? ofPod[key]
  const runAsUser = numberOf(pick('runAsUser'))
  const isPrivileged = own['privileged'] === true
  if (isPrivileged && !node.allowsPrivileged) {
    throw refuse('privileged containers are not allowed on this node (see WHERRY_ALLOW_PRIVILEGED)')
  }
  if (pick('runAsNonRoot') === true) verifyNonRoot(pod, container, runAsUser, image.user)
  const capabilities = isRecord(own['capabilities']) ? own['capabilities'] : {}
  const fsGroup = numberOf(ofPod['fsGroup'])
  return {
    runAsUser,
    runAsGroup: numberOf(pick('runAsGroup')),
    supplementalGroups: [
      ...numbersOf(ofPod['supplementalGroups']),
      ...(fsGroup === undefined ? [] : [fsGroup]),
    ],
    addCapabilities: textsOf(capabilities['add']).map(plainCapability),
    dropCapabilities: textsOf(capabilities['drop']).map(plainCapability),
    isPrivileged,
    isRootReadOnly: own['readOnlyRootFilesystem'] === true,
    noNewPrivileges: own['allowPrivilegeEscalation'] === false,
    seccomp: seccompOf(pick('seccompProfile')),
    isProcUnmasked: own['procMount'] === 'Unmasked',
  }
}

/** The group that shall own the pod's volumes. */
export function fsGroupOf(pod: Pod): number | undefined {
  return numberOf(pod.spec.securityContext?.['fsGroup'])
}

function verifyNonRoot(
  pod: Pod,
  container: Container,
  runAsUser: number | undefined,
  imageUser: string,
): void {
  const { name, namespace, uid } = pod.metadata
  const whose = `(pod: "${name}_${namespace}(${uid})", container: ${container.name})`
  if (runAsUser === 0) {
    throw refuse(`container's runAsUser breaks non-root policy ${whose}`)
  }
  if (runAsUser !== undefined) return
  const [user = ''] = imageUser.split(':')
  if (user === '' || Number(user) === 0 || user === 'root') {
    throw refuse(`container has runAsNonRoot and image will run as root ${whose}`)
  }
  if (!/^\d+$/.test(user)) {
    const what = `image has non-numeric user (${user}), cannot verify user is non-root`
    throw refuse(`container has runAsNonRoot and ${what} ${whose}`)
  }
}

/** Where nothing is said the engine's default profile counts: nothing is unconfined by silence. */
function seccompOf(profile: unknown): Security['seccomp'] {
  const type = isRecord(profile) ? profile['type'] : undefined
  if (type === 'Localhost') {
    throw refuse('seccomp profiles of type Localhost are not available on this node')
  }
  return type === 'Unconfined' ? 'Unconfined' : 'RuntimeDefault'
}

/** Kubernetes has them without the prefix; images' authors write both. */
function plainCapability(name: string): string {
  return name.replace(/^CAP_/, '')
}

function refuse(message: string): StartRefused {
  return new StartRefused('CreateContainerConfigError', message)
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}

function numbersOf(value: unknown): number[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'number') : []
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
}
