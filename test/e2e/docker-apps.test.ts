// The list of what holds for apps, on VMs that are network namespaces with a Docker Engine each: real
// containers of images built here, real addresses, and faults that only such VMs can have.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startLocalWherry, type LocalWherry } from '../local-wherry.ts'
import { cannotHaveVms } from '../support/netns-vms.ts'
import { describeApps } from './app-list.ts'
import { describeRestart, describeSteadiness } from './steady-list.ts'

describe.skipIf(await cannotHaveVms())('with a Docker Engine in each VM', () => {
  let wherry: LocalWherry

  beforeAll(async () => {
    wherry = await startLocalWherry({ env: { WHERRY_MACHINES: 'docker' }, deadlineMs: 280_000 })
  }, 300_000)
  afterAll(() => wherry?.dispose(), 90_000)

  test('npm start says what the VMs are', () => {
    expect(wherry.ready.machines).toBe('docker')
    expect(wherry.output()).toContain('a Docker Engine in each VM')
    expect(wherry.ready.app).toMatch(/^http:\/\/198\.18\./)
  })

  describeApps('docker', () => wherry)
  describe('what moves nobody', () => describeSteadiness(() => wherry))
  describe('the next start', () => describeRestart(() => wherry))
})
