// What GitHub sends, and what others send instead: only a signed delivery reaches the store, and it
// does what it means, however often and in whatever order it comes.

import recorded from '@octokit/webhooks-examples'
import { sign } from '@octokit/webhooks-methods'
import { afterEach, describe, expect, test } from 'vitest'
import type { Deployment } from '#shared/api/deployment.ts'
import { StatusError } from '#shared/status.ts'
import { KNOWN_EVENTS } from '#shared/deploy/events.ts'
import { seededRandom } from '../simulation/random.ts'
import { appManifest, CLUSTER, createWorld, SECRET, withCommit, type World } from './world.ts'

interface Recorded {
  name: string
  examples: object[]
}

// Its types describe another shape than what is in it.
const examples = recorded as unknown as Recorded[]
const HELLO = 'Codertocat/Hello-World'
let world: World | undefined

afterEach(async () => {
  await world?.close()
  world = undefined
})

describe('a delivery that is not GitHub’s', () => {
  const body = JSON.stringify({ ref: 'refs/heads/main', repository: { full_name: 'local/web' } })
  const cases: [string, () => Promise<Record<string, string>>, number][] = [
    ['has no signature', async () => ({}), 401],
    [
      'has the old header only',
      async () => ({ 'x-hub-signature': 'sha1=0123456789012345678901234567890123456789' }),
      401,
    ],
    [
      'has a wrong signature',
      async () => ({ 'x-hub-signature-256': `sha256=${'0'.repeat(64)}` }),
      401,
    ],
    [
      'is signed with another secret',
      async () => ({ 'x-hub-signature-256': await sign('other', body) }),
      401,
    ],
    [
      'is signed for another body',
      async () => ({ 'x-hub-signature-256': await sign(SECRET, `${body} `) }),
      401,
    ],
    [
      'has half a signature',
      async () => ({ 'x-hub-signature-256': (await sign(SECRET, body)).slice(0, 40) }),
      401,
    ],
    [
      'names no event',
      async () => ({ 'x-hub-signature-256': await sign(SECRET, body), 'x-github-event': '' }),
      400,
    ],
    [
      'has no id',
      async () => ({ 'x-hub-signature-256': await sign(SECRET, body), 'x-github-delivery': '' }),
      400,
    ],
    [
      'is too large',
      async () => ({
        'x-hub-signature-256': await sign(SECRET, body),
        'content-length': '5000001',
      }),
      413,
    ],
  ]

  test.each(cases)('%s: it is refused and nothing is stored', async (_what, headers, status) => {
    world = await createWorld()
    const { version } = await world.live.catchUp()
    const response = await world.webhook.request(`/github/webhook/${CLUSTER}`, {
      method: 'POST',
      body,
      headers: { 'x-github-event': 'push', 'x-github-delivery': 'd', ...(await headers()) },
    })
    expect(response.status).toBe(status)
    expect((await world.live.catchUp()).version).toBe(version)
  })

  test('is for a cluster that knows no such secret: refused, and not GET either', async () => {
    world = await createWorld()
    const headers = {
      'x-github-event': 'push',
      'x-github-delivery': 'd',
      'x-hub-signature-256': await sign(SECRET, body),
    }
    const other = await world.webhook.request('/github/webhook/other', {
      method: 'POST',
      body,
      headers,
    })
    expect(other.status).toBe(401)
    expect((await world.webhook.request(`/github/webhook/${CLUSTER}`)).status).toBe(405)
  })
})

test('a form is understood as well as JSON, text that is neither is not', async () => {
  world = await createWorld()
  const json = JSON.stringify({
    ref: 'refs/heads/main',
    after: 'abc',
    repository: { full_name: 'local/web' },
  })
  const form = new URLSearchParams({ payload: json }).toString()
  const send = async (body: string, type: string): Promise<number | undefined> =>
    (
      await world?.webhook.request(`/github/webhook/${CLUSTER}`, {
        method: 'POST',
        body,
        headers: {
          'content-type': type,
          'x-github-event': 'push',
          'x-github-delivery': type.length.toString(),
          'x-hub-signature-256': await sign(SECRET, body),
        },
      })
    )?.status
  expect(await send(form, 'application/x-www-form-urlencoded')).toBe(202)
  expect((await world.repository()).status?.deliveries?.[0]?.outcome).toBe('push of abc')
  expect(await send('not json', 'application/json')).toBe(400)
})

test('it is in the store before the answer; when the store is away GitHub hears that', async () => {
  let isAway = false
  world = await createWorld({
    store: (store) =>
      withCommit(store, (cluster, commit) =>
        isAway ? Promise.reject(unavailable()) : store.commit(cluster, commit),
      ),
  })
  expect((await world.push('abc')).status).toBe(202)
  expect((await world.repository()).status).toMatchObject({ asked: 1 })
  isAway = true
  expect((await world.push('def')).status).toBe(503)
})

function unavailable(): Error {
  return new StatusError('ServiceUnavailable', 'the store is away')
}

test('all recorded payloads, twice and shuffled, have their effects once', async () => {
  world = await createWorld({
    spec: {
      path: 'k8s',
      repository: HELLO,
      branch: 'master',
      previews: { label: '', ttlHours: 24 },
    },
  })
  const commit = world.git.commit('first', { 'k8s/app.yaml': appManifest('web:1') })
  world.git.git('branch', '-q', 'master')
  world.hub.pulls.push({ number: 2, state: 'open', title: 'Two', branch: 'master', labels: [] })
  const random = seededRandom(6)
  const deliveries = examples
    .flatMap(({ name, examples: payloads }) =>
      payloads.map((payload, index) => ({
        name,
        payload,
        id: `${name.replaceAll('_', '-')}-${index}`,
      })),
    )
    .flatMap((each) => [each, each])
    .map((each) => ({ each, at: random.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ each }) => each)
  expect(deliveries).toHaveLength(658)
  for (const [index, { name, payload, id }] of deliveries.entries()) {
    const answer = await world.deliver(name, payload, { id })
    expect(answer.status, id).toBe(202)
    if (!KNOWN_EVENTS.has(name)) expect(await answer.json(), id).toEqual({ ignored: name })
    if (index % 40 === 0) await world.settle()
  }
  await world.settle()
  const { status } = await world.repository()
  expect(status?.deploy).toMatchObject({ commit, phase: 'Healthy' })
  expect(status?.previews).toHaveLength(1)
  expect(status?.looked).toBe(status?.asked)
  const deployments = (await world.list('deployments.apps')) as readonly Deployment[]
  const places = new Set(deployments.map(({ metadata }) => metadata.namespace))
  expect(places).toEqual(new Set(['default', 'default-web-pr-2']))
  // One deploy of the branch and one of the preview, each announced and finished once.
  expect(world.hub.statuses.map(({ context, state }) => `${context} ${state}`).sort()).toEqual([
    'wherry/preview-2 pending',
    'wherry/preview-2 success',
    'wherry/production pending',
    'wherry/production success',
  ])
  expect(world.hub.comments).toHaveLength(1)
  expect(world.log.entries.filter(({ severity }) => severity === 'ERROR')).toEqual([])
})
