import { expect, test } from 'vitest'
import { aPod } from '#test/support/objects.ts'
import type { PodSpec } from '#shared/api/pod.ts'
import { refusalOf } from './admission.ts'

const cases: { when: string; sysctl: string; spec?: Partial<PodSpec>; expected?: string }[] = [
  { when: 'is safe', sysctl: 'net.ipv4.tcp_syncookies' },
  { when: 'is safe and written with slashes', sysctl: 'net/ipv4/tcp_syncookies' },
  {
    when: 'is not safe',
    sysctl: 'net.core.somaxconn',
    expected: 'forbidden sysctl: "net.core.somaxconn" not allowlisted',
  },
  {
    when: 'would be the node’s own',
    sysctl: 'net.ipv4.ping_group_range',
    spec: { hostNetwork: true },
    expected: 'forbidden sysctl: "net.ipv4.ping_group_range" not allowed with host net enabled',
  },
  {
    when: 'would be of the node’s IPC',
    sysctl: 'kernel.shm_rmid_forced',
    spec: { hostIPC: true },
    expected: 'forbidden sysctl: "kernel.shm_rmid_forced" not allowed with host ipc enabled',
  },
]

test.each(cases)('a sysctl that $when', ({ sysctl, spec, expected }) => {
  const pod = aPod('web')
  const sysctls = [{ name: sysctl, value: '1' }]
  Object.assign(pod.spec, spec, { securityContext: { sysctls } })
  const refusal = expected && { reason: 'SysctlForbidden', message: expected }
  expect(refusalOf(pod)).toEqual(refusal)
})
