// Which VMs this machine gets: the best that it offers, unless WHERRY_MACHINES says which.

import { planOf } from './netns/slots.ts'
import { openNetnsHost, type NetnsHostOptions } from './netns/host.ts'
import { missingForNetns } from './netns/offer.ts'
import { openProcessHost, type VmHost } from './vm-host.ts'

export interface VmHostChoice {
  host: VmHost
  /** What the VMs are, for people. */
  summary: string
  /** What better ones would need, a sentence; undefined when there are none better, or not wanted. */
  missing: string | undefined
}

type Options = Omit<NetnsHostOptions, 'slot'> & {
  env: Readonly<Record<string, string | undefined>>
  /** The state of last time: its addresses say which slot it had. */
  saved: unknown
}

const PROCESS = 'VMs: process groups on loopback, containers: processes'
const DOCKER = 'VMs: network namespaces of their own, containers: a Docker Engine in each VM'
const SLOTS_MAX = 16

/** Error: WHERRY_MACHINES asks for what cannot be had. */
export async function openVmHost(options: Options): Promise<VmHostChoice> {
  const wish = options.env['WHERRY_MACHINES']
  if (wish !== undefined && wish !== 'process' && wish !== 'docker') {
    throw new Error(`WHERRY_MACHINES is process or docker, not ${wish}`)
  }
  if (wish === 'process') {
    return { host: await openProcessHost(options), summary: PROCESS, missing: undefined }
  }
  const lacks = await missingForNetns(options.env['PATH'] ?? '')
  if (lacks.length === 0) {
    const host = await openNetnsHost({ ...options, slot: slotOf(options.saved) })
    return { host, summary: `${DOCKER} (${host.plan.vms}/20)`, missing: undefined }
  }
  const missing = whatIsMissing(lacks)
  if (wish === 'docker') throw new Error(missing)
  return { host: await openProcessHost(options), summary: PROCESS, missing }
}

function whatIsMissing(lacks: readonly string[]): string {
  const sentence = `VMs with a Docker Engine each need ${lacks.join(', ')}`
  const [first] = lacks
  if (first === 'Linux') return sentence
  return first === 'root' ? `${sentence}: sudo npm start` : `${sentence}: npm run setup:linux`
}

function slotOf(saved: unknown): number | undefined {
  const host = JSON.stringify(saved ?? null).match(/"host":"([\d.]+)"/)?.[1]
  const slots = Array.from({ length: SLOTS_MAX }, (_, slot) => slot)
  return slots.find((slot) => planOf(slot).host === host)
}
