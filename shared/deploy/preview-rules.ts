// What a preview changes in manifests: its pods prefer spot VMs; and what it refuses of forks, whose
// authors are anybody.

import { SPOT_LABEL } from '../api/node-pool.ts'
import { isObject, type JsonObject } from '../patch/json.ts'
import { StatusError } from '../status.ts'
import { containersOf, objectsIn, podSpecOf, shownManifest, type Manifest } from './manifest.ts'

const TOLERATION = { key: SPOT_LABEL, operator: 'Equal', value: 'true', effect: 'NoSchedule' }
const PREFERENCE = {
  weight: 100,
  preference: { matchExpressions: [{ key: SPOT_LABEL, operator: 'In', values: ['true'] }] },
}
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution'

/** The manifests with pods that bear the taint of spot VMs and would rather be on one. */
export function preferSpot(manifests: readonly Manifest[]): Manifest[] {
  return manifests.map((manifest) => {
    const copy = structuredClone(manifest)
    const spec = podSpecOf(copy)
    if (spec) addPreference(spec)
    return copy
  })
}

function addPreference(spec: JsonObject): void {
  const affinity = isObject(spec['affinity']) ? spec['affinity'] : {}
  const node = isObject(affinity['nodeAffinity']) ? affinity['nodeAffinity'] : {}
  spec['tolerations'] = [...objectsIn(spec, 'tolerations'), TOLERATION]
  spec['affinity'] = {
    ...affinity,
    nodeAffinity: { ...node, [PREFERRED]: [...objectsIn(node, PREFERRED), PREFERENCE] },
  }
}

/** Error: Invalid: a fork's pods may not reach out of their containers. */
export function checkFork(manifests: readonly Manifest[]): void {
  const problems = manifests.flatMap((manifest) =>
    reachesOf(podSpecOf(manifest)).map((what) => `${shownManifest(manifest)}: ${what}`),
  )
  if (problems.length === 0) return
  const text = `${problems.join('; ')}: not in a preview of a fork`
  throw new StatusError('Invalid', text, { causes: [{ message: text }] })
}

function reachesOf(spec: JsonObject | undefined): string[] {
  if (!spec) return []
  const shared = ['hostNetwork', 'hostPID', 'hostIPC'].filter((member) => spec[member] === true)
  const paths = objectsIn(spec, 'volumes').some((volume) => volume['hostPath'] !== undefined)
  const inContainers = containersOf(spec).flatMap((container) => {
    const security = container['securityContext']
    const isPrivileged = isObject(security) && security['privileged'] === true
    const hasHostPort = objectsIn(container, 'ports').some(({ hostPort }) => Boolean(hostPort))
    return [...(isPrivileged ? ['privileged'] : []), ...(hasHostPort ? ['hostPort'] : [])]
  })
  return [...shared, ...(paths ? ['hostPath'] : []), ...inContainers]
}
