import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { PodSpec, Volume } from '#shared/api/pod.ts'
import { makeVolume } from './volume-kinds.ts'

describe('a volume', () => {
  let root: string
  beforeEach(() => void (root = mkdtempSync(join(tmpdir(), 'wherry-kinds-'))))
  afterEach(() => rmSync(root, { recursive: true }))

  const make = (volume: Omit<Volume, 'name'>, isContained = true, spec: Partial<PodSpec> = {}) =>
    makeVolume(
      { name: 'v', ...volume },
      {
        facts: {
          pod: {
            apiVersion: 'v1',
            kind: 'Pod',
            metadata: { name: 'p', namespace: 'default', uid: 'u', creationTimestamp: '' },
            spec: { containers: [], ...spec },
          },
          podIP: '',
          hostIP: '',
          allocatable: { cpuMillis: 0, memoryBytes: 0 },
        },
        node: {
          configuration: () => ({ configMaps: new Map(), secrets: new Map() }),
          machineRoot: root,
          disks: {
            make: async () => ({ path: root, isWritable: true, isDisk: true, isNew: true }),
            release: async () => undefined,
          },
          runtime: { isContained },
        },
        folder: join(root, 'volume'),
      },
    )

  test('of a claim is where its disk is mounted', async () => {
    const made = await make({ persistentVolumeClaim: { claimName: 'data' } })
    expect(made).toEqual({ path: root, seenAt: root, isWritable: true })
  })

  test('of type emptyDir is a folder for everybody, or for the group of the pod', async () => {
    const made = await make({ emptyDir: {} })
    expect(made).toEqual({
      path: join(root, 'volume'),
      seenAt: join(root, 'volume'),
      isWritable: true,
    })
    expect(statSync(made.path).mode & 0o777).toBe(0o777)
    if (process.getuid?.() !== 0) return
    await make({ emptyDir: {} }, true, { securityContext: { fsGroup: 2000 } })
    const { mode, gid } = statSync(made.path)
    expect([(mode & 0o2070).toString(8), gid]).toEqual(['2070', 2000])
  })

  test('of type hostPath is what is there', async () => {
    mkdirSync(join(root, 'data'))
    const made = await make({ hostPath: { path: '/data', type: 'Directory' } })
    expect(made).toEqual({ path: '/data', seenAt: join(root, 'data'), isWritable: true })
  })

  test.each([
    ['', true],
    ['DirectoryOrCreate', true],
    ['FileOrCreate', false],
  ])('of type hostPath with %j is made where nothing is', async (type, isFolder) => {
    await make({ hostPath: { path: '/new', type } })
    expect(statSync(join(root, 'new')).isDirectory()).toBe(isFolder)
  })

  test.each([
    ['/none', 'Directory', 'hostPath type check failed: /none is not a directory'],
    ['/file', 'Directory', 'hostPath type check failed: /file is not a directory'],
    ['/file', 'DirectoryOrCreate', 'hostPath type check failed: /file is not a directory'],
    ['/', 'File', 'hostPath type check failed: / is not a file'],
    ['/file', 'Socket', 'hostPath type check failed: /file is not a socket file'],
    ['/file', 'CharDevice', 'hostPath type check failed: /file is not a character device'],
    ['/file', 'BlockDevice', 'hostPath type check failed: /file is not a block device'],
    ['/a/../b', '', "path must not contain '..': /a/../b"],
  ])('of type hostPath: %s as %s is refused', async (path, type, message) => {
    writeFileSync(join(root, 'file'), '')
    await expect(make({ hostPath: { path, type } })).rejects.toThrow(message)
  })

  test('of files that are missing is refused, and of a kind that no node here has', async () => {
    await expect(make({ configMap: { name: 'c' } })).rejects.toThrow('configmap "c" not found')
    await expect(make({ nfs: {} })).rejects.toThrow('nfs volumes are not available on this node')
  })

  test('of type hostPath is refused where containers share the machine anyway', async () => {
    const message = 'hostPath volumes are not available on this node'
    await expect(make({ hostPath: { path: '/' } }, false)).rejects.toThrow(message)
  })

  test('owned by a group leaves what links point to alone', async () => {
    if (process.getuid?.() !== 0) return
    mkdirSync(join(root, 'volume'))
    writeFileSync(join(root, 'elsewhere'), '', { mode: 0o600 })
    symlinkSync(join(root, 'elsewhere'), join(root, 'volume/link'))
    await make({ emptyDir: {} }, true, { securityContext: { fsGroup: 2000 } })
    expect(existsSync(join(root, 'volume/link'))).toBe(true)
    const { mode, gid } = statSync(join(root, 'elsewhere'))
    expect([(mode & 0o777).toString(8), gid]).toEqual(['600', 0])
  })
})
