// On which VMs a measurement runs: those that WHERRY_MACHINES names (process or docker), else the best that this
// machine can have, as for `npm start`.

import { missingForNetns } from '#emulator/compute/netns/offer.ts'

/** What to add to the environment of a local system. */
export async function wantedMachines(): Promise<{ WHERRY_MACHINES: string }> {
  const wanted = process.env['WHERRY_MACHINES']
  if (wanted !== undefined) return { WHERRY_MACHINES: wanted }
  const lacks = await missingForNetns(process.env['PATH'] ?? '')
  return { WHERRY_MACHINES: lacks.length === 0 ? 'docker' : 'process' }
}
