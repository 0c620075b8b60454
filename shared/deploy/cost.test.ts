import { describe, expect, test } from 'vitest'
import { costOf, shownCost } from './cost.ts'
import type { Manifest } from './manifest.ts'

const workload = (resources: object, replicas?: number, kind = 'Deployment'): Manifest => ({
  apiVersion: 'apps/v1',
  kind,
  metadata: { name: 'web' },
  spec: {
    ...(replicas === undefined ? {} : { replicas }),
    template: { spec: { containers: [{ name: 'web', image: 'web', resources }] } },
  },
})
const requests = (cpu: string, memory: string): object => ({ requests: { cpu, memory } })
const rounded = (manifests: Manifest[], options = {}): number =>
  Math.round(costOf(manifests, options).dollars * 100) / 100

describe('a month costs', () => {
  test('as much as an e2-medium for what an e2-medium has', () => {
    expect(rounded([workload(requests('1', '4Gi'))])).toBe(24.46)
  })

  test.each<[string, Manifest[], number]>([
    ['replicas times as much', [workload(requests('1', '4Gi'), 3)], 73.38],
    ['nothing for no replicas', [workload(requests('1', '4Gi'), 0)], 0],
    ['nothing for a Job, which ends', [workload(requests('1', '4Gi'), undefined, 'Job')], 0],
    ['the limit where only that is said', [workload({ limits: { cpu: 1, memory: '4Gi' } })], 24.46],
    ['nothing that is known for what is no workload', [workload('nonsense' as never)], 0],
    [
      'a forwarding rule for a load balancer',
      [
        {
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { name: 's' },
          spec: { type: 'LoadBalancer' },
        },
      ],
      18.25,
    ],
    [
      'a balanced disk for a claim',
      [
        {
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          metadata: { name: 'c' },
          spec: { resources: { requests: { storage: '10Gi' } } },
        },
      ],
      1,
    ],
  ])('%s', (_, manifests, dollars) => {
    expect(rounded(manifests)).toBe(dollars)
  })

  test('less on spot VMs', () => {
    expect(rounded([workload(requests('1', '4Gi'))], { isSpot: true })).toBe(9.78)
  })

  test('an unknown sum more for pods that request nothing', () => {
    expect(costOf([workload({}, 2)])).toEqual({ dollars: 0, unpriced: 2 })
  })
})

describe('the difference', () => {
  const cost = (dollars: number, unpriced = 0): ReturnType<typeof costOf> => ({ dollars, unpriced })
  test.each([
    [
      cost(1),
      cost(3.5),
      '+$2.50 a month when merged ($1.00 → $3.50); this preview: $9.00 a month.',
    ],
    [
      cost(3.5),
      cost(1),
      '−$2.50 a month when merged ($3.50 → $1.00); this preview: $9.00 a month.',
    ],
    [cost(1), cost(1.001), 'no difference in cost when merged ($1.00 a month); this preview:'],
    [cost(1), cost(1, 2), '; 2 pods request nothing and are not counted.'],
  ])('is said with its assumptions', (before, after, text) => {
    const shown = shownCost(before, after, cost(9))
    expect(shown).toContain(text)
    expect(shown).toContain('Requests at E2 list prices, us-central1.')
  })
})
