// The Disks port: persistent disks of Google Compute Engine, and to which VM each is attached. All calls
// are idempotent: names are given, making what is there already succeeds when it is the same,
// removing what is gone succeeds. Waiting for long-running operations happens inside the driver.
// Drivers: functions/adapters/google-disks.ts (@google-cloud/compute, on Google's or on the emulator's
// endpoint) and emulator/adapters/memory-disks.ts. Contract: test/contract/disks.ts.

export interface DiskSpec {
  name: string
  zone: string
  sizeGb: number
  /** `pd-standard`, `pd-balanced`, `pd-ssd`. */
  type: string
  labels: Record<string, string>
  /** For people who look at the disk: which claim it was made for. */
  description: string
}

export interface Disk {
  name: string
  zone: string
  sizeGb: number
  type: string
  labels: Record<string, string>
  /** Names of the VMs that it is attached to. */
  users: string[]
}

export interface DiskAttachment {
  disk: string
  zone: string
  /** The VM's name; it is in the same zone. */
  vm: string
  /** The VM sees it as /dev/disk/by-id/google-<deviceName>. */
  deviceName: string
  isReadOnly: boolean
}

export interface Disks {
  /** Errors: Conflict when another disk has this name; Forbidden for quotas. */
  create(spec: DiskSpec): Promise<Disk>
  /** Undefined: there is none. */
  get(name: string, zone: string): Promise<Disk | undefined>
  /** Makes it at least so large; a disk never shrinks. */
  resize(name: string, zone: string, sizeGb: number): Promise<Disk>
  /** Error: Conflict while it is attached. */
  delete(name: string, zone: string): Promise<void>
  /**
   * Answers the id of the VM: of that name there may be another one tomorrow. Errors: Conflict when the disk
   * may be written by another VM; NotFound when there is no such disk or VM.
   */
  attach(attachment: DiskAttachment): Promise<{ vmId: string }>
  /** Nothing happens when it is not attached there, or the VM is gone. */
  detach(name: string, zone: string, vm: string): Promise<void>
  /** All disks with these labels, in every zone. */
  list(labels: Record<string, string>): Promise<Disk[]>
}
