// What a laptop's VMs run on, and everything of the emulated network that depends on it. Two of them:
// process groups on loopback (here), and namespaces with a Docker Engine each (netns/host.ts).

import { loopbackPlan, type AddressPlan } from './address-plan.ts'
import { claimBalancerNet } from './balancer-net.ts'
import { createFolderMedia, type DiskMedia } from './disk-media.ts'
import type { BalancerDeps, LoadBalancers } from './load-balancer.ts'
import type { Context } from './context.ts'
import type { VpcFirewall } from './firewall-force.ts'
import type { Machines } from './machines.ts'
import { createProcessMachines, type ProcessMachinesOptions } from './process-machines.ts'
import { createVpc, type Vpc } from './vpc.ts'

export interface VmHost {
  /** `process`: containers are processes; `docker`: each VM has a Docker Engine. */
  kind: 'process' | 'docker'
  machines: Machines
  /** What persistent disks are made of. */
  media: DiskMedia
  vpc: Vpc
  plan: AddressPlan
  /** Where load balancers are made; undefined: listeners of this process. */
  createBalancers: ((deps: BalancerDeps) => LoadBalancers) | undefined
  /** Where firewall rules come into force; undefined: nowhere. */
  createFirewall: ((ctx: Context) => VpcFirewall) | undefined
  /** Lets VMs reach a port of 127.0.0.1, at the plan's `host`. */
  expose: Expose
  /** When no VM runs any more. */
  close(): Promise<void>
}

/** Answers what ends it. */
export type Expose = (port: number) => Promise<() => void>

export type VmHostOptions = Omit<ProcessMachinesOptions, 'env'> & {
  /** Folders that hold images (image.json). */
  images: readonly string[]
  /** A folder for what may be made anew at any time. */
  cache: string
  pubsubHost: string
  /** This process's own HTTP address. */
  url: string
}

export async function openProcessHost(options: VmHostOptions): Promise<VmHost> {
  const balancers = await claimBalancerNet()
  return {
    kind: 'process',
    machines: createProcessMachines({
      ...options,
      env: {
        WHERRY_VPC_URL: options.url,
        WHERRY_IMAGES: options.images.join(process.platform === 'win32' ? ';' : ':'),
        WHERRY_RUNTIME: 'process',
        WHERRY_NETWORK: 'loopback',
        PUBSUB_EMULATOR_HOST: options.pubsubHost,
      },
    }),
    media: createFolderMedia(options.dir),
    vpc: createVpc(),
    plan: loopbackPlan(balancers.net),
    createBalancers: undefined,
    createFirewall: undefined,
    // They are on 127.0.0.1 themselves.
    expose: async () => () => undefined,
    close: () => balancers.release(),
  }
}
