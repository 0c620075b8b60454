// How a disk becomes a folder on this machine. Drivers: block-driver.ts (a device with a file system),
// folder-driver.ts (machines without devices of their own: a disk is a folder already).

export interface DiskMount {
  /** As the disk was attached: /dev/disk/by-id/google-<deviceName>. */
  deviceName: string
  /** Where it shall be. */
  target: string
  fsType: string
  isReadOnly: boolean
  options: readonly string[]
}

export interface DiskDriver {
  /** True once the machine sees the device. */
  isThere(deviceName: string): Promise<boolean>
  /** Makes a file system when there is none, never when there is one, and mounts it. Idempotent. */
  mount(mount: DiskMount): Promise<void>
  /** Everything that was written is on the disk when this resolves. Idempotent. */
  unmount(target: string): Promise<void>
  /** Lets the file system take what its device has by now. */
  grow(mount: Pick<DiskMount, 'deviceName' | 'target' | 'fsType'>): Promise<void>
  /** What an earlier agent mounted below a folder. */
  mountedBelow(folder: string): Promise<string[]>
}
