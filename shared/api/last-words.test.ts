// How long last words are kept.

import { expect, test } from 'vitest'
import { aPod } from '#test/support/objects.ts'
import { formatTime } from '../time.ts'
import {
  LAST_WORDS,
  lastWordsKey,
  mergeWords,
  outlivedWords,
  WORDS_PODS_MAX,
  WORDS_TTL_MS,
  type ContainerWords,
  type LastWords,
} from './last-words.ts'
import type { KubeObject } from './meta.ts'
import type { Reader } from '../view/reader.ts'

const NOW = Date.parse('2027-01-15T09:00:00Z')
const said = (log: string): ContainerWords => ({
  containerID: 'c',
  exitCode: 1,
  reason: 'Error',
  log,
})

function words(name: string, ageMs: number, namespace = 'default'): LastWords {
  const pod = aPod(name)
  pod.metadata.namespace = namespace
  return mergeWords(undefined, pod, { web: said('bye\n') }, NOW - ageMs)
}

/** A cluster that has these and the namespace `default`. */
function readerOf(all: readonly LastWords[]): Reader {
  const namespace: KubeObject = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'default', uid: 'default', creationTimestamp: formatTime(NOW) },
  }
  return {
    version: '',
    get: (key) => (key === 'namespaces//default' ? namespace : undefined),
    list: (resource) => (resource === LAST_WORDS ? all : []),
    ownedBy: () => [],
    podsOnNode: () => [],
    labelled: () => [],
  }
}

test('they go after a day, and with their namespace', () => {
  const reader = readerOf([
    words('fresh', WORDS_TTL_MS - 1000),
    words('old', WORDS_TTL_MS + 1000),
    words('lost', 0, 'gone'),
  ])
  expect(outlivedWords(reader, NOW)).toEqual([
    lastWordsKey('default', 'old'),
    lastWordsKey('gone', 'lost'),
  ])
})

test('of too many the oldest go', () => {
  const all = Array.from({ length: WORDS_PODS_MAX + 2 }, (_, index) =>
    words(`p-${index}`, index * 1000),
  )
  expect(outlivedWords(readerOf(all), NOW)).toEqual([
    lastWordsKey('default', `p-${WORDS_PODS_MAX + 1}`),
    lastWordsKey('default', `p-${WORDS_PODS_MAX}`),
  ])
})

test('of one pod the newest of each container are kept, as much as fits', () => {
  const pod = aPod('p')
  const line = `${'x'.repeat(1023)}\n`
  let kept: LastWords | undefined
  for (let index = 0; index < 10; index++) {
    kept = mergeWords(kept, pod, { [`c-${index}`]: said(line.repeat(32)) }, NOW)
  }
  expect(Object.keys(kept?.containers ?? {})).toEqual(
    Array.from({ length: 8 }, (_, index) => `c-${index + 2}`),
  )
  kept = mergeWords(kept, pod, { 'c-2': said('again\n') }, NOW)
  expect(Object.keys(kept.containers).at(-1)).toBe('c-2')
  expect(kept.containers['c-2']?.log).toBe('again\n')
})
