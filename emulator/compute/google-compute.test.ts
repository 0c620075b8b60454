// The Compute and Disks contracts on Google's own client library, talking HTTP to the emulator. The clients are
// made once: that takes longer than all of the calls.

import { afterAll, beforeAll } from 'vitest'
import { computeContract } from '#test/contract/compute.ts'
import { disksContract } from '#test/contract/disks.ts'
import {
  openComputeEmulator,
  openGoogleCompute,
  type GoogleComputeAt,
} from '#test/support/compute-emulator.ts'

let google: GoogleComputeAt

beforeAll(async () => {
  google = await openGoogleCompute()
})
afterAll(() => google.close())

computeContract('google-compute on the emulator', async () => {
  const { emulator, close } = await openComputeEmulator()
  google.use(emulator)
  return { compute: google.compute, close }
})

disksContract('compute-disks on the emulator', async () => {
  const { emulator, close } = await openComputeEmulator()
  google.use(emulator)
  return { disks: google.compute.disks, compute: google.compute, close }
})
