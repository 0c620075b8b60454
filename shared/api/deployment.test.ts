import { describe, expect, it } from 'vitest'
import { NOW, defaulted, meta, refusals } from '#test/support/admission.ts'
import { deploymentKind } from './deployment.ts'
import type { Deployment } from './deployment.ts'
import type { KubeObject } from './meta.ts'
import { replicaSetKind } from './replica-set.ts'
import type { ReplicaSet } from './replica-set.ts'

const TEMPLATE = {
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'web', image: 'nginx' }] },
}
const SELECTOR = { matchLabels: { app: 'web' } }

function deployment(spec: object = {}): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: meta('web'),
    spec: { selector: SELECTOR, template: TEMPLATE, ...spec },
  }
}

describe('a Deployment', () => {
  it('gets Kubernetes defaults, in its template too', () => {
    expect(defaulted(deployment()).spec).toMatchObject({
      replicas: 1,
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      strategy: {
        type: 'RollingUpdate',
        rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' },
      },
      template: { spec: { restartPolicy: 'Always', terminationGracePeriodSeconds: 30 } },
    })
    const { spec } = defaulted(deployment()).spec.template
    expect(spec).not.toHaveProperty('tolerations')
    expect(spec).not.toHaveProperty('serviceAccountName')
    expect(spec).not.toHaveProperty('enableServiceLinks')
  })

  it('forgets the empty time that Go clients put into templates', () => {
    const template = { ...TEMPLATE, metadata: { ...TEMPLATE.metadata, creationTimestamp: null } }
    expect(defaulted(deployment({ template }))).toEqual(defaulted(deployment()))
  })

  it('of which everything is missing is refused, naming what is missing', () => {
    const nothing = { apiVersion: 'apps/v1', kind: 'Deployment' } as KubeObject
    expect(refusals(nothing)).toEqual([
      'metadata.name: Required value: name or generateName is required',
      'metadata.namespace: Required value',
      'spec.selector: Required value',
      'spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`',
      'spec.template.spec.containers: Required value',
    ])
  })

  it.each<[string, object, string]>([
    [
      'a selector that is not of the template',
      { selector: { matchLabels: { app: 'api' } } },
      'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
    ],
    [
      'an empty selector',
      { selector: {} },
      'spec.selector: Invalid value: {}: empty selector is invalid for deployment',
    ],
    [
      'negative replicas',
      { replicas: -1 },
      'spec.replicas: Invalid value: -1: must be greater than or equal to 0',
    ],
    [
      'a strategy that is none',
      { strategy: { type: 'BlueGreen' } },
      'spec.strategy.type: Unsupported value: "BlueGreen": supported values: "Recreate", "RollingUpdate"',
    ],
    [
      'rolling by recreation',
      { strategy: { type: 'Recreate', rollingUpdate: { maxSurge: 1 } } },
      "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
    ],
    [
      'an update that can not move',
      { strategy: { rollingUpdate: { maxSurge: '0%', maxUnavailable: 0 } } },
      'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0',
    ],
    [
      'more missing than there are',
      { strategy: { rollingUpdate: { maxUnavailable: '101%' } } },
      'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%',
    ],
    [
      'a deadline before it can be ready',
      { minReadySeconds: 600 },
      'spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds',
    ],
    [
      'pods that may end',
      { template: { ...TEMPLATE, spec: { ...TEMPLATE.spec, restartPolicy: 'Never' } } },
      'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ],
    [
      'labels that are none',
      { template: { ...TEMPLATE, metadata: { labels: { app: 'web', '-': 'b' } } } },
      "spec.template.metadata.labels: Invalid value: \"-\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    ],
  ])('%s', (_, spec, expected) => {
    expect(refusals(deployment(spec))).toEqual([expected])
  })

  it('keeps its selector for ever', () => {
    const old = defaulted(deployment())
    const labels = { app: 'api' }
    const moved = deployment({
      selector: { matchLabels: labels },
      template: { ...TEMPLATE, metadata: { labels } },
    })
    expect(refusals(moved, { old })).toEqual([
      'spec.selector: Invalid value: {"matchLabels":{"app":"api"}}: field is immutable',
    ])
  })

  it('prints its row', () => {
    const status = { readyReplicas: 1, updatedReplicas: 2, availableReplicas: 1 }
    const row = deploymentKind.cells(
      { ...defaulted(deployment({ replicas: 2 })), status },
      { now: NOW + 5000 },
    )
    expect(row).toEqual(['web', '1/2', 2, 1, '5s', 'web', 'nginx', 'app=web'])
  })
})

describe('a ReplicaSet', () => {
  const set: ReplicaSet = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: meta('web'),
    spec: { selector: SELECTOR, template: TEMPLATE },
  }

  it('has one replica and says how many there are', () => {
    expect(defaulted(set).spec.replicas).toBe(1)
    const row = replicaSetKind.cells(
      { ...defaulted(set), status: { replicas: 1, readyReplicas: 0 } },
      { now: NOW },
    )
    expect(row).toEqual(['web', 1, 1, 0, '0s', 'web', 'nginx', 'app=web'])
    expect(replicaSetKind.fieldSelectors?.['status.replicas']?.(set)).toBe('0')
  })

  it('is checked as a Deployment is', () => {
    expect(refusals({ ...set, spec: { ...set.spec, selector: {} } })).toEqual([
      'spec.selector: Invalid value: {}: empty selector is invalid for deployment',
    ])
  })
})
