import { describe, expect, it } from 'vitest'
import { ALL_VERBS, type KindDefinition } from '#shared/api/kind.ts'
import type { KubeObject, ObjectMeta } from '#shared/api/meta.ts'
import { planDelete, validateDeleteOptions, type DeleteOptions } from './deletion.ts'

const NOW = Date.parse('2026-11-22T12:00:00Z')

function kind(over: Partial<KindDefinition> = {}): KindDefinition {
  return {
    group: '',
    version: 'v1',
    kind: 'ConfigMap',
    plural: 'configmaps',
    singular: 'configmap',
    shortNames: [],
    categories: [],
    isNamespaced: true,
    verbs: ALL_VERBS,
    subresources: [],
    columns: [],
    cells: () => [],
    hasStatus: false,
    hasGeneration: false,
    ...over,
  }
}

const configMaps = kind()
const pods = kind({
  kind: 'Pod',
  plural: 'pods',
  gracePeriodSeconds: () => 30,
  hasGeneration: true,
})
const namespaces = kind({ kind: 'Namespace', plural: 'namespaces', isNamespaced: false })

function object(metadata: Partial<ObjectMeta> = {}, rest: object = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'X',
    metadata: {
      name: 'x',
      uid: 'u1',
      creationTimestamp: '2026-11-22T00:00:00Z',
      resourceVersion: '0000000000000007',
      ...metadata,
    },
    ...rest,
  }
}

const running = object({ generation: 1 }, { spec: { nodeName: 'n' }, status: { phase: 'Running' } })

function marked(plan: ReturnType<typeof planDelete>): ObjectMeta {
  if (plan.do !== 'mark') throw new Error(`the plan is to ${plan.do}`)
  return plan.object.metadata
}

describe('planDelete', () => {
  it('removes at once what nobody waits for', () => {
    expect(planDelete(configMaps, object(), {}, NOW)).toEqual({ do: 'remove' })
    expect(planDelete(configMaps, object(), { gracePeriodSeconds: 30 }, NOW)).toEqual({
      do: 'remove',
    })
  })

  it('marks what has finalizers', () => {
    const metadata = marked(planDelete(configMaps, object({ finalizers: ['a/b'] }), {}, NOW))
    expect(metadata.deletionTimestamp).toBe('2026-11-22T12:00:00Z')
    expect(metadata.deletionGracePeriodSeconds).toBe(0)
    expect(metadata.finalizers).toEqual(['a/b'])
  })

  it.each<[DeleteOptions, string[] | undefined]>([
    [{ propagationPolicy: 'Foreground' }, ['foregroundDeletion']],
    [{ propagationPolicy: 'Orphan' }, ['orphan']],
    [{ orphanDependents: true }, ['orphan']],
    [{ propagationPolicy: 'Background' }, undefined],
    [{}, undefined],
  ])('%j leaves the finalizers %j', (options, finalizers) => {
    const plan = planDelete(configMaps, object(), options, NOW)
    expect(plan.do === 'mark' ? plan.object.metadata.finalizers : undefined).toEqual(finalizers)
  })

  it('changes its mind about dependents when it is asked again', () => {
    const orphaning = object({
      finalizers: ['orphan'],
      deletionTimestamp: '2026-11-22T11:00:00Z',
      deletionGracePeriodSeconds: 0,
    })
    expect(planDelete(configMaps, orphaning, {}, NOW)).toEqual({ do: 'nothing' })
    expect(planDelete(configMaps, orphaning, { propagationPolicy: 'Background' }, NOW)).toEqual({
      do: 'remove',
    })
  })

  it('gives a running pod its grace, and a generation', () => {
    const metadata = marked(planDelete(pods, running, {}, NOW))
    expect(metadata.deletionTimestamp).toBe('2026-11-22T12:00:30Z')
    expect(metadata.deletionGracePeriodSeconds).toBe(30)
    expect(metadata.generation).toBe(2)
    const own = marked(planDelete(pods, running, { gracePeriodSeconds: 5 }, NOW))
    expect(own.deletionTimestamp).toBe('2026-11-22T12:00:05Z')
    const negative = marked(planDelete(pods, running, { gracePeriodSeconds: -3 }, NOW))
    expect(negative.deletionGracePeriodSeconds).toBe(1)
  })

  it.each([
    ['grace 0', running, { gracePeriodSeconds: 0 }],
    ['no node', object({}, { spec: {}, status: { phase: 'Pending' } }), {}],
    ['an ended pod', object({}, { spec: { nodeName: 'n' }, status: { phase: 'Failed' } }), {}],
  ])('removes a pod at once: %s', (_, pod, options) => {
    expect(planDelete(pods, pod, options, NOW)).toEqual({ do: 'remove' })
  })

  it('only ever shortens the grace of a pod on its way', () => {
    const ending = object(
      { deletionTimestamp: '2026-11-22T12:00:30Z', deletionGracePeriodSeconds: 30 },
      { spec: { nodeName: 'n' }, status: { phase: 'Running' } },
    )
    expect(planDelete(pods, ending, {}, NOW)).toEqual({ do: 'nothing' })
    expect(planDelete(pods, ending, { gracePeriodSeconds: 60 }, NOW)).toEqual({ do: 'nothing' })
    const sooner = marked(planDelete(pods, ending, { gracePeriodSeconds: 10 }, NOW))
    expect(sooner.deletionTimestamp).toBe('2026-11-22T12:00:10Z')
    expect(planDelete(pods, ending, { gracePeriodSeconds: 0 }, NOW)).toEqual({ do: 'remove' })
  })

  it('keeps an object with finalizers even when it is forced', () => {
    const held = object(
      { finalizers: ['a/b'] },
      { spec: { nodeName: 'n' }, status: { phase: 'Running' } },
    )
    expect(marked(planDelete(pods, held, { gracePeriodSeconds: 0 }, NOW)).finalizers).toEqual([
      'a/b',
    ])
  })

  it('ends a namespace slowly, and some never', () => {
    const plan = planDelete(namespaces, object({ name: 'a' }), {}, NOW)
    expect(plan).toMatchObject({ do: 'mark', object: { status: { phase: 'Terminating' } } })
    const ending = object({ name: 'a', deletionTimestamp: '2026-11-22T11:00:00Z' })
    expect(planDelete(namespaces, ending, {}, NOW)).toEqual({ do: 'nothing' })
    expect(() => planDelete(namespaces, object({ name: 'default' }), {}, NOW)).toThrow(
      'namespaces "default" is forbidden: this namespace may not be deleted',
    )
  })

  it('respects preconditions', () => {
    expect(() => planDelete(configMaps, object(), { preconditions: { uid: 'u2' } }, NOW)).toThrow(
      'Operation cannot be fulfilled on configmaps "x": Precondition failed: UID in precondition: u2, UID in object meta: u1',
    )
    const stale = { preconditions: { resourceVersion: '6' } }
    expect(() => planDelete(configMaps, object(), stale, NOW)).toThrow(/ResourceVersion in pre/)
    const fresh = { preconditions: { uid: 'u1', resourceVersion: '7' } }
    expect(planDelete(configMaps, object(), fresh, NOW)).toEqual({ do: 'remove' })
  })
})

describe('validateDeleteOptions', () => {
  it('refuses what cannot be', () => {
    expect(() => validateDeleteOptions({ propagationPolicy: 'Maybe' })).toThrow(
      /propagationPolicy: Unsupported value: "Maybe"/,
    )
    expect(() =>
      validateDeleteOptions({ propagationPolicy: 'Orphan', orphanDependents: true }),
    ).toThrow(/cannot be both set/)
  })
})
