import { describe, expect, it } from 'vitest'
import { NOW, defaulted, meta, refusals } from '#test/support/admission.ts'
import { resourceQuotaKind, type ResourceQuota, type ResourceQuotaSpec } from './resource-quota.ts'

function quota(spec: ResourceQuotaSpec): ResourceQuota {
  return { apiVersion: 'v1', kind: 'ResourceQuota', metadata: meta('team'), spec }
}

describe('a ResourceQuota', () => {
  it('may limit what Kubernetes counts', () => {
    const hard = {
      pods: '10',
      cpu: '1',
      'requests.memory': '1Gi',
      'limits.cpu': '2',
      'requests.storage': '5Gi',
      'services.loadbalancers': '1',
      'count/deployments.apps': '3',
      'requests.nvidia.com/gpu': '1',
      'fast.storageclass.storage.k8s.io/persistentvolumeclaims': '1',
    }
    expect(refusals(defaulted(quota({ hard })))).toEqual([])
  })

  it.each<[string, ResourceQuotaSpec, string]>([
    [
      'an unknown name',
      { hard: { sheep: '1' } },
      'spec.hard[sheep]: Invalid value: "sheep": must be a standard resource for quota',
    ],
    [
      'a negative number',
      { hard: { pods: '-1' } },
      'spec.hard[pods]: Invalid value: "-1": must be greater than or equal to 0',
    ],
    [
      'half a pod',
      { hard: { pods: '500m' } },
      'spec.hard[pods]: Invalid value: "500m": must be an integer',
    ],
    [
      'an unknown scope',
      { scopes: ['Sheep'] },
      'spec.scopes: Invalid value: ["Sheep"]: unsupported scope',
    ],
    [
      'scopes that exclude each other',
      { scopes: ['BestEffort', 'NotBestEffort'] },
      'spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes',
    ],
    [
      'a scope of pods over Services',
      { hard: { services: '1' }, scopes: ['Terminating'] },
      'spec.scopes: Invalid value: ["Terminating"]: unsupported scope applied to resource',
    ],
    [
      'In without values',
      {
        scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In' }] },
      },
      "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
    ],
    [
      'another operator',
      {
        scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'Like' }] },
      },
      'spec.scopeSelector.matchExpressions.operator: Invalid value: "Like": not a valid selector operator',
    ],
  ])('is refused with %s', (_, spec, refusal) => {
    expect(refusals(defaulted(quota(spec)))).toContain(refusal)
  })

  it('keeps its scopes', () => {
    const old = quota({ scopes: ['BestEffort'] })
    expect(refusals(quota({ scopes: ['NotBestEffort'] }), { old })).toContain(
      'spec.scopes: Invalid value: ["NotBestEffort"]: field is immutable',
    )
  })

  it('shows requests and limits apart', () => {
    const status = {
      hard: { pods: '4', 'requests.cpu': '2', 'limits.cpu': '4' },
      used: { pods: '1', 'requests.cpu': '500m', 'limits.cpu': '1' },
    }
    expect(resourceQuotaKind.cells({ ...quota({}), status }, { now: NOW }).slice(0, 3)).toEqual([
      'team',
      'pods: 1/4, requests.cpu: 500m/2',
      'limits.cpu: 1/4',
    ])
  })
})
