// A VM as the emulated Compute Engine keeps it.

import type { Instance } from '#emulator/compute/state.ts'

/** A running VM with one network interface. */
export function anInstance(wishes: Partial<Instance> = {}): Instance {
  const root = 'https://www.googleapis.com/compute/v1/projects/demo-wherry'
  const name = wishes.name ?? 'vm-1'
  return {
    kind: 'compute#instance',
    id: '1795365137000000007',
    name,
    selfLink: `${root}/zones/us-east1-c/instances/${name}`,
    creationTimestamp: '2026-11-22T16:32:17.161-00:00',
    zone: `${root}/zones/us-east1-c`,
    status: 'RUNNING',
    machineType: `${root}/zones/us-east1-c/machineTypes/e2-medium`,
    labels: {},
    labelFingerprint: '',
    metadata: { kind: 'compute#metadata', fingerprint: '', items: [] },
    scheduling: {
      automaticRestart: false,
      preemptible: false,
      provisioningModel: 'STANDARD',
      onHostMaintenance: 'MIGRATE',
    },
    disks: [],
    networkInterfaces: [
      {
        kind: 'compute#networkInterface',
        name: 'nic0',
        network: `${root}/global/networks/default`,
        networkIP: '10.128.0.5',
        aliasIpRanges: [{ ipCidrRange: '10.4.5.0/24', subnetworkRangeName: 'pods' }],
        accessConfigs: [
          {
            kind: 'compute#accessConfig',
            type: 'ONE_TO_ONE_NAT',
            name: 'External NAT',
            natIP: '127.0.2.5',
          },
        ],
      },
    ],
    serviceAccounts: [],
    tags: {},
    canIpForward: false,
    ...wishes,
  }
}
