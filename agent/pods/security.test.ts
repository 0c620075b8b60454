import { describe, expect, test } from 'vitest'
import type { Container, Pod } from '#shared/api/pod.ts'
import { oomScoreAdjust, resourcesOf } from './resources.ts'
import { securityOf } from './security.ts'

function podWith(
  securityContext: Record<string, unknown>,
  container: Partial<Container> = {},
): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'default', uid: 'u', creationTimestamp: '' },
    spec: { securityContext, containers: [{ name: 'c', ...container }] },
  }
}

function security(
  pod: Record<string, unknown>,
  own: Record<string, unknown>,
  user = '',
  allowsPrivileged = false,
) {
  const container: Container = { name: 'c', securityContext: own }
  return securityOf(podWith(pod), container, { user }, { allowsPrivileged })
}

describe('what a container may', () => {
  test('is what it says, else what its pod says', () => {
    expect(security({ runAsUser: 1000, runAsGroup: 3000 }, { runAsUser: 2000 })).toMatchObject({
      runAsUser: 2000,
      runAsGroup: 3000,
      isPrivileged: false,
      noNewPrivileges: false,
      seccomp: 'RuntimeDefault',
    })
  })

  test('includes the groups of its pod, the volumes’ group last', () => {
    const { supplementalGroups } = security({ supplementalGroups: [5, 6], fsGroup: 7 }, {})
    expect(supplementalGroups).toEqual([5, 6, 7])
  })

  test('names capabilities as Kubernetes does', () => {
    const capabilities = { add: ['CAP_NET_ADMIN', 'SYS_TIME'], drop: ['ALL'] }
    expect(security({}, { capabilities })).toMatchObject({
      addCapabilities: ['NET_ADMIN', 'SYS_TIME'],
      dropCapabilities: ['ALL'],
    })
  })

  test.each([
    [{ runAsNonRoot: true }, {}, '', 'image will run as root'],
    [{ runAsNonRoot: true }, {}, '0:0', 'image will run as root'],
    [{ runAsNonRoot: true }, {}, 'app', 'image has non-numeric user (app), cannot verify'],
    [{ runAsNonRoot: true }, { runAsUser: 0 }, '', "container's runAsUser breaks non-root policy"],
    [{}, { privileged: true }, '', 'privileged containers are not allowed on this node'],
    [{ seccompProfile: { type: 'Localhost' } }, {}, '', 'seccomp profiles of type Localhost'],
  ])('%j and %j of an image of user %j is refused', (pod, own, user, message) => {
    expect(() => security(pod, own, user)).toThrow(message)
  })

  test('is not refused to who is not root, and privileges where the node has them', () => {
    expect(security({ runAsNonRoot: true }, {}, '1000').runAsUser).toBeUndefined()
    expect(security({ runAsNonRoot: true }, { runAsUser: 7 }, 'root').runAsUser).toBe(7)
    expect(security({}, { privileged: true }, '', true).isPrivileged).toBe(true)
  })
})

describe('what a container gets', () => {
  const limits = { cpu: '500m', memory: '64Mi' }

  test('are its limits, and its requests or else its limits', () => {
    expect(resourcesOf({ name: 'c', resources: { limits } })).toEqual({
      limits: { cpuMillis: 500, memoryBytes: 64 * 2 ** 20 },
      requests: { cpuMillis: 500 },
    })
    expect(resourcesOf({ name: 'c' })).toEqual({ limits: {}, requests: {} })
  })

  test.each([
    ['guaranteed', { limits }, -997],
    ['best effort', {}, 1000],
    ['burstable: the more it asked for, the later', { requests: { memory: '1Gi' } }, 750],
    ['burstable without memory', { requests: { cpu: '1' } }, 999],
    ['burstable with all of it', { requests: { memory: '4Gi' }, limits: { memory: '5Gi' } }, 3],
  ])('%s is killed in its turn when memory ends', (_, resources, score) => {
    const pod = podWith({}, { resources })
    expect(oomScoreAdjust(pod, { name: 'c', resources }, 4 * 2 ** 30)).toBe(score)
  })
})
