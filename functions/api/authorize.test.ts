import { describe, expect, it } from 'vitest'
import type { KubeObject } from '#shared/api/meta.ts'
import type { Reader } from '#shared/view/reader.ts'
import {
  accessDenied,
  authorize,
  mayEnter,
  mayReadPath,
  VIEWERS,
  type Attributes,
} from './authorize.ts'
import type { Identity } from './deps.ts'

const admin: Identity = { user: 'admin', groups: ['system:masters'] }
const node: Identity = {
  user: 'system:node:a',
  groups: ['system:nodes'],
  clusters: ['c'],
  node: { cluster: 'c', name: 'a', instanceId: '1' },
}
const nobody: Identity = { user: 'x', groups: ['system:authenticated'] }

function podOn(nodeName: string): KubeObject {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'd', uid: 'u', creationTimestamp: '' },
    spec: { nodeName, containers: [] },
  }
  return pod
}

function readerWith(objects: Record<string, KubeObject>): Reader {
  return {
    version: '0',
    get: (key) => objects[key],
    list: () => Object.values(objects),
    ownedBy: () => [],
    podsOnNode: () => [],
    labelled: () => [],
  }
}

const reader = readerWith({ 'pods/d/mine': podOn('a'), 'pods/d/other': podOn('b') })

function ask(verb: string, resource: string, more: Partial<Attributes> = {}): Attributes {
  return { verb, group: '', namespace: '', resource, name: '', subresource: '', ...more }
}

describe('authorize', () => {
  it('lets viewers look, but not at Secrets, not into containers, and not change anything', () => {
    const viewer: Identity = { user: 'v', groups: [VIEWERS] }
    const may = (verb: string, resource: string, subresource = ''): boolean =>
      authorize(viewer, ask(verb, resource, { subresource }), reader).isAllowed
    expect(may('list', 'pods')).toBe(true)
    expect(may('watch', 'nodes')).toBe(true)
    expect(may('get', 'pods', 'log')).toBe(true)
    for (const verb of ['get', 'list', 'watch']) expect(may(verb, 'secrets')).toBe(false)
    for (const part of ['exec', 'attach', 'portforward', 'proxy']) {
      expect(may('get', 'pods', part), part).toBe(false)
    }
    for (const verb of ['create', 'update', 'patch', 'delete', 'deletecollection', 'impersonate']) {
      expect(may(verb, 'pods'), verb).toBe(false)
    }
  })

  it('lets system:masters do everything', () => {
    expect(authorize(admin, ask('delete', 'secrets'), reader).isAllowed).toBe(true)
  })

  it('refuses everything else to others, in the words of Kubernetes', () => {
    const request = ask('list', 'pods')
    const verdict = authorize(nobody, request, reader)
    expect(verdict.isAllowed).toBe(false)
    expect(accessDenied(nobody, request, verdict).message).toBe(
      'pods is forbidden: User "x" cannot list resource "pods" in API group "" at the cluster scope',
    )
    const named = ask('get', 'deployments', { group: 'apps', namespace: 'd', name: 'web' })
    expect(accessDenied(nobody, named, verdict).message).toBe(
      'deployments.apps "web" is forbidden: User "x" cannot get resource "deployments" in API group "apps" in the namespace "d"',
    )
  })

  it('lets everybody ask about himself', () => {
    const review = ask('create', 'selfsubjectaccessreviews', { group: 'authorization.k8s.io' })
    expect(authorize(nobody, review, reader).isAllowed).toBe(true)
  })

  it.each([
    ['get', 'nodes', { name: 'a' }, true],
    ['patch', 'nodes', { name: 'a', subresource: 'status' }, true],
    ['patch', 'nodes', { name: 'a' }, false],
    ['get', 'nodes', { name: 'b' }, false],
    ['list', 'nodes', {}, false],
    ['get', 'pods', { namespace: 'd', name: 'mine' }, true],
    ['delete', 'pods', { namespace: 'd', name: 'mine' }, true],
    ['patch', 'pods', { namespace: 'd', name: 'mine', subresource: 'status' }, true],
    ['patch', 'pods', { namespace: 'd', name: 'mine' }, false],
    ['create', 'pods', { namespace: 'd', name: 'mine', subresource: 'exec' }, false],
    ['get', 'pods', { namespace: 'd', name: 'other' }, false],
    ['get', 'pods', { namespace: 'd', name: 'missing' }, false],
    ['list', 'pods', { fieldSelector: 'spec.nodeName=a' }, true],
    ['list', 'pods', { fieldSelector: 'spec.nodeName=b' }, false],
    ['watch', 'pods', {}, false],
    ['get', 'secrets', { namespace: 'd', name: 's' }, false],
    ['list', 'configmaps', {}, false],
    ['get', 'deployments', { group: 'apps', namespace: 'd', name: 'x' }, false],
  ])('node: %s %s %j → %s', (verb, resource, more, isAllowed) => {
    expect(authorize(node, ask(verb, resource, more), reader).isAllowed).toBe(isAllowed)
  })

  it('keeps identities in their clusters and paths', () => {
    expect(mayEnter(node, 'c')).toBe(true)
    expect(mayEnter(node, 'd')).toBe(false)
    expect(mayEnter(admin, 'd')).toBe(true)
    expect(mayReadPath(nobody, '/apis/apps/v1')).toBe(true)
    expect(mayReadPath(nobody, '/metrics')).toBe(false)
    expect(mayReadPath(nobody, '/apisomething')).toBe(false)
  })
})
