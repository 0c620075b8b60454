import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CLUSTER, createTestApi, type TestApi } from '#test/api.ts'
import { readWatch, type WatchLine, type WatchReader } from '#test/watch-reader.ts'
import { MAX_WAITING_CHANGES } from './watch-position.ts'

let api: TestApi
beforeEach(async () => {
  api = await createTestApi()
})
afterEach(() => api.close())

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'

async function put(name: string, more: Record<string, unknown> = {}): Promise<string> {
  const body = {
    metadata: { name, ...(more['labels'] ? { labels: more['labels'] } : {}) },
    data: more['data'],
  }
  const there = await api.call('GET', `${CONFIG_MAPS}/${name}`)
  const answer =
    there.status === 404
      ? await api.call<{ metadata: { resourceVersion: string } }>('POST', CONFIG_MAPS, { body })
      : await api.call<{ metadata: { resourceVersion: string } }>('PUT', `${CONFIG_MAPS}/${name}`, {
          body,
        })
  expect(answer.status).toBeLessThan(300)
  return answer.body.metadata.resourceVersion
}

async function remove(name: string): Promise<void> {
  expect((await api.call('DELETE', `${CONFIG_MAPS}/${name}`)).status).toBe(200)
}

async function watch(query = '', headers: Record<string, string> = {}): Promise<WatchReader> {
  const response = await api.open(`${CONFIG_MAPS}?watch=true${query}`, { headers })
  expect(response.status).toBe(200)
  return readWatch(response)
}

function brief(lines: readonly WatchLine[]): string[] {
  return lines.map(({ type, object }) => `${type} ${object.metadata.name}`)
}

async function listVersion(): Promise<string> {
  const { body } = await api.call<{ metadata: { resourceVersion: string } }>('GET', CONFIG_MAPS)
  return body.metadata.resourceVersion
}

describe('where a watch begins', () => {
  it.each(['', '&resourceVersion=0', '&resourceVersion='])(
    'without a version (%s) the present comes first',
    async (query) => {
      await put('a')
      const reader = await watch(query)
      await put('b')
      await remove('a')
      expect(brief(await reader.take(3))).toEqual(['ADDED a', 'ADDED b', 'DELETED a'])
      await reader.cancel()
    },
  )

  it('from a version everything after it comes, and nothing else', async () => {
    await put('a')
    const version = await listVersion()
    await put('b')
    await put('a', { data: { x: '1' } })
    const reader = await watch(`&resourceVersion=${version}`)
    await remove('b')
    expect(brief(await reader.take(3))).toEqual(['ADDED b', 'MODIFIED a', 'DELETED b'])
    await reader.cancel()
  })

  it('objects carry kind, apiVersion and their version; a deleted one that of its end', async () => {
    const version = await put('a')
    const reader = await watch(`&resourceVersion=${version}`)
    await remove('a')
    const { object } = await reader.next()
    expect(object).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' })
    expect(object.metadata.resourceVersion).toBe(api.view.current.version)
    await reader.cancel()
  })

  it('says Expired when the log does not reach back that far', async () => {
    const version = await listVersion()
    await put('a')
    await put('b')
    await api.views.checkpoint(CLUSTER)
    await api.store.trim(CLUSTER, api.view.current.version, 100)
    const restarted = await createTestApi({ store: api.store, clock: api.clock })
    const { status, body } = await restarted.call(
      'GET',
      `${CONFIG_MAPS}?watch=true&resourceVersion=${version}`,
    )
    await restarted.close()
    expect([status, body['reason'], body['code']]).toEqual([410, 'Expired', 410])
    const current = api.view.current.version
    expect(body['message']).toBe(`too old resource version: ${version} (${current})`)
  })

  it('does not accept a version of the future', async () => {
    const { status, body } = await api.call(
      'GET',
      `${CONFIG_MAPS}?watch=true&resourceVersion=9999999999999999`,
    )
    expect(status).toBe(504)
    expect(body['message']).toMatch(/^Too large resource version: 9999999999999999, current: /)
    const wrong = await api.call('GET', `${CONFIG_MAPS}?watch=true&resourceVersion=abc`)
    expect(wrong.status).toBe(400)
  })
})

describe('watch lists', () => {
  const QUERY = '&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true'

  it('mark where the initial events end', async () => {
    const version = await put('a')
    const reader = await watch(QUERY)
    const [added, end] = await reader.take(2)
    expect(added?.type).toBe('ADDED')
    expect(end).toEqual({
      type: 'BOOKMARK',
      object: {
        kind: 'ConfigMap',
        apiVersion: 'v1',
        metadata: {
          resourceVersion: version,
          creationTimestamp: null,
          annotations: { 'k8s.io/initial-events-end': 'true' },
        },
      },
    })
    await put('b')
    expect(brief([await reader.next()])).toEqual(['ADDED b'])
    await reader.cancel()
  })

  it.each([
    ['&sendInitialEvents=true', 'sendInitialEvents requires setting resourceVersionMatch'],
    ['&sendInitialEvents=true&resourceVersionMatch=Exact', 'sendInitialEvents requires'],
    ['&resourceVersionMatch=NotOlderThan', 'resourceVersionMatch is forbidden for watch unless'],
  ])('refuse %s', async (query, message) => {
    const { status, body } = await api.call('GET', `${CONFIG_MAPS}?watch=true${query}`)
    expect(status).toBe(422)
    expect(body['message']).toContain(message)
  })
})

describe('selectors', () => {
  it('show an object that enters or leaves the selection as added or deleted', async () => {
    await put('a', { labels: { run: 'web' } })
    await put('b', { labels: { run: 'db' } })
    const reader = await watch('&labelSelector=run%3Dweb')
    await put('b', { labels: { run: 'web' } })
    await put('b', { labels: { run: 'web' }, data: { x: '1' } })
    await put('a', { labels: { run: 'db' } })
    await remove('a')
    await remove('b')
    const lines = await reader.take(5)
    expect(brief(lines)).toEqual(['ADDED a', 'ADDED b', 'MODIFIED b', 'DELETED a', 'DELETED b'])
    // What left is shown as it was when it still belonged.
    expect(lines[3]?.object.metadata['labels']).toEqual({ run: 'web' })
    await reader.cancel()
  })

  it('of a name, and of a name in the path', async () => {
    await put('a')
    await put('b')
    const byField = await watch('&fieldSelector=metadata.name%3Db')
    expect(brief([await byField.next()])).toEqual(['ADDED b'])
    const byPath = readWatch(await api.open(`${CONFIG_MAPS}/b?watch=true`))
    expect(brief([await byPath.next()])).toEqual(['ADDED b'])
    await byField.cancel()
    await byPath.cancel()
  })
})

describe('a watch in time', () => {
  it('sends a bookmark a minute when it may', async () => {
    await put('a')
    const reader = await watch('&allowWatchBookmarks=true')
    await reader.next()
    const pending = reader.next()
    await api.clock.advance(60_000)
    const bookmark = await pending
    expect(bookmark.type).toBe('BOOKMARK')
    expect(bookmark.object.metadata.resourceVersion).toBe(api.view.current.version)
    // From a bookmark on, nothing is missing and nothing comes twice.
    const resumed = await watch(`&resourceVersion=${bookmark.object.metadata.resourceVersion}`)
    await put('b')
    expect(brief([await resumed.next()])).toEqual(['ADDED b'])
    await reader.cancel()
    await resumed.cancel()
  })

  it('ends when its time is over', async () => {
    await put('a')
    const short = await watch('&timeoutSeconds=7')
    const long = await watch()
    const rest = short.rest()
    await api.clock.advance(7000)
    expect(brief(await rest)).toEqual(['ADDED a'])
    const longRest = long.rest()
    await api.clock.advance(1800_000)
    expect(brief(await longRest)).toEqual(['ADDED a'])
  })

  it('drops who does not read, and keeps nothing for him', async () => {
    const response = await api.open(
      `${CONFIG_MAPS}?watch=true&resourceVersion=${await listVersion()}`,
    )
    const writes = Array.from({ length: 1000 }, (_, index) => `m${index}`)
    let expects: (string | null)[] = writes.map(() => null)
    const rounds = MAX_WAITING_CHANGES / writes.length + 1
    for (let round = 0; round < rounds; round++) {
      const revision = await api.view.commit({
        id: `round-${round}`,
        cause: { actor: 'test', verb: 'flood' },
        writes: writes.map((name, index) => ({
          key: `configmaps/default/${name}`,
          object: {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata: {
              name,
              namespace: 'default',
              uid: name,
              creationTimestamp: '2026-11-22T12:00:00Z',
            },
          },
          expect: expects[index] ?? null,
        })),
      })
      expects = writes.map(() => revision.version)
    }
    const lines = await readWatch(response).rest()
    expect(lines).toEqual([])
  })

  it('is a Table when kubectl asks for one', async () => {
    await put('a', { data: { x: '1', y: '2' } })
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'
    const reader = await watch('', { accept })
    const first = await reader.next()
    expect(first.object).toMatchObject({
      kind: 'Table',
      apiVersion: 'meta.k8s.io/v1',
      columnDefinitions: [{ name: 'Name' }, { name: 'Data' }, { name: 'Age' }],
      rows: [{ cells: ['a', 2, '0s'], object: { kind: 'PartialObjectMetadata' } }],
    })
    await put('b')
    expect(await reader.next()).toMatchObject({ object: { columnDefinitions: null } })
    await reader.cancel()
  })
})

/** One step of a random history. */
const step = fc.oneof(
  fc.record({
    do: fc.constant('put' as const),
    name: fc.constantFrom('a', 'b', 'c'),
    on: fc.boolean(),
  }),
  fc.record({ do: fc.constant('remove' as const), name: fc.constantFrom('a', 'b', 'c') }),
  fc.record({ do: fc.constant('reconnect' as const) }),
  fc.record({ do: fc.constant('read' as const) }),
)

describe('no gap, no duplicate, no reorder', () => {
  it('whenever a client hangs up and comes back', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.boolean(),
        async (steps, isSelecting) => {
          const own = await createTestApi()
          try {
            await follow(own, steps, isSelecting ? '&labelSelector=on%3Dyes' : '')
          } finally {
            await own.close()
          }
        },
      ),
      { numRuns: 60 },
    )
  }, 60_000)
})

type Step =
  | { do: 'put'; name: string; on: boolean }
  | { do: 'remove'; name: string }
  | { do: 'reconnect' | 'read' }

/** Plays the history against one client that reconnects; at the end it must know the state. */
async function follow(own: TestApi, steps: readonly Step[], selector: string): Promise<void> {
  const start = await own.call<{ metadata: { resourceVersion: string } }>('GET', CONFIG_MAPS)
  let last = start.body.metadata.resourceVersion
  const known = new Map<string, string>()
  const seen: string[] = []
  const connect = async (): Promise<WatchReader> =>
    readWatch(await own.open(`${CONFIG_MAPS}?watch=true${selector}&resourceVersion=${last}`))
  const take = ({ type, object }: WatchLine): void => {
    const { name, resourceVersion } = object.metadata
    expect(BigInt(resourceVersion), `order of ${type} ${name}`).toBeGreaterThan(BigInt(last))
    expect(known.has(name), `${type} ${name}`).toBe(type !== 'ADDED')
    if (type === 'DELETED') known.delete(name)
    else known.set(name, resourceVersion)
    last = resourceVersion
    seen.push(`${type} ${name}`)
  }
  const expected: string[] = []
  const present = new Map<string, boolean>()
  let revision = 0
  let reader = await connect()
  for (const one of steps) {
    if (one.do === 'reconnect') {
      await reader.cancel()
      reader = await connect()
    } else if (one.do === 'read') {
      if (seen.length < expected.length) take(await reader.next())
    } else if (one.do === 'put' || one.do === 'remove') {
      await write(own, one, present, expected, selector !== '', ++revision)
    }
  }
  while (seen.length < expected.length) take(await reader.next())
  await reader.cancel()
  expect(seen).toEqual(expected)
  const list = await own.call<{ items: { metadata: { name: string; resourceVersion: string } }[] }>(
    'GET',
    `${CONFIG_MAPS}?${selector.slice(1)}`,
  )
  const state = list.body.items.map(({ metadata }) => [metadata.name, metadata.resourceVersion])
  expect(Object.fromEntries(known)).toEqual(Object.fromEntries(state))
}

async function write(
  own: TestApi,
  one: Extract<Step, { name: string }>,
  present: Map<string, boolean>,
  expected: string[],
  isSelecting: boolean,
  revision: number,
): Promise<void> {
  const { name } = one
  const wasShown = present.has(name) && (!isSelecting || present.get(name) === true)
  if (one.do === 'remove') {
    if (!present.has(name)) return
    await own.call('DELETE', `${CONFIG_MAPS}/${name}`)
    present.delete(name)
    if (wasShown) expected.push(`DELETED ${name}`)
    return
  }
  const metadata = { name, labels: { on: one.on ? 'yes' : 'no' } }
  const body = { metadata, data: { revision: String(revision) } }
  const answer = present.has(name)
    ? await own.call('PUT', `${CONFIG_MAPS}/${name}`, { body })
    : await own.call('POST', CONFIG_MAPS, { body })
  expect(answer.status).toBeLessThan(300)
  present.set(name, one.on)
  const isShown = !isSelecting || one.on
  if (isShown) expected.push(`${wasShown ? 'MODIFIED' : 'ADDED'} ${name}`)
  else if (wasShown) expected.push(`DELETED ${name}`)
}
