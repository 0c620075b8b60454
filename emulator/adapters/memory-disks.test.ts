import { disksContract } from '#test/contract/disks.ts'
import { createManualClock } from './manual-clock.ts'
import { createMemoryCompute } from './memory-compute.ts'
import { createMemoryDisks } from './memory-disks.ts'

disksContract('memory-disks', async () => {
  const compute = createMemoryCompute({ clock: createManualClock(0) })
  return { disks: createMemoryDisks({ compute }), compute, close: async () => {} }
})
