import { describe, expect, it } from 'vitest'
import { parseResourcePath, verbOf } from './request-info.ts'

function path(text: string): string | undefined {
  const info = parseResourcePath(text)
  if (!info) return undefined
  const { group, version, namespace, resource, name, subresource } = info
  return [group, version, namespace, resource, name, subresource].join('|')
}

describe('parseResourcePath', () => {
  it.each([
    ['/api/v1/pods', '|v1||pods||'],
    ['/api/v1/namespaces/d/pods', '|v1|d|pods||'],
    ['/api/v1/namespaces/d/pods/p', '|v1|d|pods|p|'],
    ['/api/v1/namespaces/d/pods/p/log', '|v1|d|pods|p|log'],
    ['/api/v1/namespaces', '|v1||namespaces||'],
    ['/api/v1/namespaces/d', '|v1||namespaces|d|'],
    ['/api/v1/namespaces/d/status', '|v1||namespaces|d|status'],
    ['/api/v1/namespaces/d/finalize', '|v1||namespaces|d|finalize'],
    ['/api/v1/nodes/n/status', '|v1||nodes|n|status'],
    ['/apis/apps/v1/namespaces/d/deployments/w/scale', 'apps|v1|d|deployments|w|scale'],
    [
      '/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode',
      'rbac.authorization.k8s.io|v1||clusterroles|system:node|',
    ],
    ['/api/v1/pods/', '|v1||pods||'],
    ['/api/v1', undefined],
    ['/apis/apps', undefined],
    ['/api/v1//pods', undefined],
    ['/api/v1/namespaces/d/pods/p/log/more', undefined],
    ['/healthz', undefined],
  ])('%s', (text, expected) => {
    expect(path(text)).toBe(expected)
  })
})

describe('verbOf', () => {
  it.each([
    ['GET', '', '', 'list'],
    ['GET', 'x', '', 'get'],
    ['GET', '', 'watch=true', 'watch'],
    ['GET', '', 'watch', 'watch'],
    ['GET', '', 'watch=false', 'list'],
    ['POST', '', '', 'create'],
    ['PUT', 'x', '', 'update'],
    ['PATCH', 'x', '', 'patch'],
    ['DELETE', 'x', '', 'delete'],
    ['DELETE', '', '', 'deletecollection'],
    ['TRACE', '', '', undefined],
  ])('%s %s %s → %s', (method, name, query, verb) => {
    expect(verbOf(method, name, new URLSearchParams(query))).toBe(verb)
  })
})
