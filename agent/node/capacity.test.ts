import { describe, expect, test } from 'vitest'
import { allocatableOf, capacityOf } from './capacity.ts'

const GI = 2 ** 30

describe('machine types', () => {
  test.each([
    ['e2-micro', 2000, 1],
    ['e2-medium', 2000, 4],
    ['e2-standard-4', 4000, 16],
    ['n1-standard-1', 1000, 3.75],
    ['n2-highmem-8', 8000, 64],
    ['e2-custom-4-8192', 4000, 8],
    ['something-else', 2000, 4],
  ])('%s has %i m and %d GiB', (type, cpuMillis, gib) => {
    expect(capacityOf(type)).toEqual({ cpuMillis, memoryBytes: gib * GI })
  })

  // The figures of GKE's own table, with 100 MiB kept for eviction.
  test.each([
    ['e2-medium', 940, 3 * 1024 - 100],
    ['e2-standard-4', 3920, 16 * 1024 - 2.6 * 1024 - 100],
    ['n1-standard-1', 940, 3.75 * 1024 * 0.75 - 100],
  ])('%s lets pods have %i m', (type, cpuMillis, mebibytes) => {
    const allocatable = allocatableOf(type)
    expect(allocatable.cpuMillis).toBe(cpuMillis)
    expect(Math.abs(allocatable.memoryBytes / 2 ** 20 - mebibytes)).toBeLessThan(1)
  })
})
