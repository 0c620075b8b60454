import { expect, test } from 'vitest'
import { claimBalancerNet } from './balancer-net.ts'

test('two that run at the same time have different nets; a released one is free again', async () => {
  const first = await claimBalancerNet()
  const second = await claimBalancerNet()
  expect(second.net).not.toBe(first.net)
  await second.release()
  const third = await claimBalancerNet()
  expect(third.net).toBe(second.net)
  await third.release()
  await first.release()
})
