import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Volume } from '#shared/api/pod.ts'
import type { PodFacts } from './downward.ts'
import type { Configuration } from './env.ts'
import { writeVolume } from './volume-folder.ts'
import { contentOf } from './volumes.ts'

const META = { namespace: 'default', uid: '', creationTimestamp: '' }
const FACTS: PodFacts = {
  pod: {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...META, name: 'p', labels: { b: '2', a: 'x"y' } },
    spec: { containers: [{ name: 'web', resources: { limits: { memory: '64Mi' } } }] },
  },
  podIP: '',
  hostIP: '',
  allocatable: { cpuMillis: 0, memoryBytes: 0 },
}
const CONFIGURATION: Configuration = {
  configMaps: new Map([
    [
      'default/c',
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { ...META, name: 'c' },
        data: { 'app.conf': 'x=1' },
        binaryData: { blob: 'AAE=' },
      },
    ],
  ]),
  secrets: new Map([
    [
      'default/s',
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { ...META, name: 's' },
        data: { key: 'c2VzYW1l' },
      },
    ],
  ]),
}

function files(volume: Omit<Volume, 'name'>): Record<string, string> {
  return Object.fromEntries(
    contentOf({ name: 'v', ...volume }, FACTS, CONFIGURATION).map(({ path, bytes, mode }) => [
      path,
      `${mode.toString(8)} ${Buffer.from(bytes).toString()}`,
    ]),
  )
}

describe('what a volume holds', () => {
  test('a ConfigMap, text and bytes', () => {
    expect(files({ configMap: { name: 'c' } })).toEqual({
      'app.conf': '644 x=1',
      blob: '644 \u0000\u0001',
    })
  })

  test('a Secret, chosen and renamed', () => {
    const items = [{ key: 'key', path: 'in/a/folder', mode: 0o400 }]
    expect(files({ secret: { secretName: 's', items } })).toEqual({ 'in/a/folder': '400 sesame' })
  })

  test('the downward API', () => {
    const downwardAPI = {
      items: [
        { path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } },
        {
          path: 'memory',
          resourceFieldRef: { containerName: 'web', resource: 'limits.memory', divisor: '1Mi' },
        },
      ],
    }
    expect(files({ downwardAPI })).toEqual({
      labels: '644 a="x\\"y"\nb="2"',
      memory: '644 64',
    })
  })

  test('several sources projected into one', () => {
    const projected = {
      defaultMode: 0o440,
      sources: [
        { configMap: { name: 'c', items: [{ key: 'app.conf', path: 'app.conf' }] } },
        { secret: { name: 's' } },
      ],
    }
    expect(files({ projected })).toEqual({ 'app.conf': '440 x=1', key: '440 sesame' })
  })

  test.each([
    [{ configMap: { name: 'none' } }, 'configmap "none" not found'],
    [{ secret: { secretName: 'none' } }, 'secret "none" not found'],
    [
      { configMap: { name: 'c', items: [{ key: 'z', path: 'z' }] } },
      'configmap references non-existent config key: z',
    ],
    [{ configMap: { name: 'c', items: [{ key: 'blob', path: '../x' }] } }, 'invalid path: ../x'],
  ])('%j is refused: %s', (volume, message) => {
    expect(() => files(volume)).toThrow(message)
  })

  test('what is optional may be missing', () => {
    expect(files({ configMap: { name: 'none', optional: true } })).toEqual({})
  })
})

describe('a volume on disk', () => {
  let folder: string
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'wherry-volume-'))))
  afterEach(() => rmSync(folder, { recursive: true }))
  const file = (path: string, text: string, mode = 0o644) => ({
    path,
    bytes: Buffer.from(text),
    mode,
  })
  const names = (): string[] =>
    readdirSync(folder)
      .filter((name) => !name.startsWith('..'))
      .sort()

  test('is replaced as a whole; what is gone goes', async () => {
    await writeVolume(folder, [file('a', '1'), file('deep/b', '2', 0o400)])
    expect(names()).toEqual(['a', 'deep'])
    expect(readFileSync(join(folder, 'deep/b'), 'utf8')).toBe('2')
    expect(statSync(join(folder, 'deep/b')).mode & 0o777).toBe(0o400)
    await writeVolume(folder, [file('a', '3'), file('c', '4')])
    expect(names()).toEqual(['a', 'c'])
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('3')
    expect(readdirSync(folder).filter((name) => /^\.\.\d/.test(name))).toHaveLength(1)
  })

  test('that is as it should be is left alone', async () => {
    await writeVolume(folder, [file('a', '1')])
    const before = readdirSync(folder)
    await writeVolume(folder, [file('a', '1')])
    expect(readdirSync(folder)).toEqual(before)
  })
})
