// The VmLook port: how all VMs of all clusters are at this moment, and nothing else of Compute Engine.
// Drivers: functions/adapters/compute-look.ts (REST, on Google's or on the emulator's endpoint).

export interface VmState {
  /** What its label says that it belongs to. */
  cluster: string
  /** Google's numeric id as text: a new VM of the same name has another one. */
  id: string
  /** As Compute Engine calls it: `RUNNING`. */
  status: string
  /** What the health check says; undefined: not known (yet). */
  isHealthy: boolean | undefined
}

/** Rejects unless every zone has answered. */
export type VmLook = () => Promise<VmState[]>
