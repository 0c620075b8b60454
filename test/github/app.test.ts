// Spoken to as a GitHub App: a proof with its key, tokens that end, check runs instead of statuses; and
// GitHub when it is slow, limits, or lies.

import { generateKeyPairSync } from 'node:crypto'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Secret } from '#shared/api/config.ts'
import type { Deployment } from '#shared/api/deployment.ts'
import { appManifest, createWorld, type World, type WorldOptions } from './world.ts'

const KEYS = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
})
// Each world starts git several times, which a busy machine is slow at.
vi.setConfig({ testTimeout: 120_000 })

const worlds: World[] = []

afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
})

async function aWorld(options: WorldOptions = {}): Promise<World> {
  const world = await createWorld({
    spec: { path: 'k8s' },
    app: {
      id: '4711',
      installation: '99',
      publicKey: KEYS.publicKey,
      privateKey: KEYS.privateKey,
      tokens: new Map(),
    },
    ...options,
  })
  worlds.push(world)
  return world
}

async function pushed(world: World, version: number): Promise<string> {
  const commit = world.git.commit(`${version}`, { 'k8s/app.yaml': appManifest(`web:${version}`) })
  await world.push(commit)
  await world.settle()
  return commit
}

async function imageOf(world: World): Promise<string | undefined> {
  const deployment = (await world.get('deployments.apps', 'web')) as Deployment | undefined
  return deployment?.spec.template.spec.containers[0]?.image
}

const asked = (world: World, what: string): number =>
  world.github.requests.filter((request) => request.includes(what)).length

describe('a GitHub App', () => {
  test('proves itself once an hour and reports check runs, no statuses', async () => {
    const world = await aWorld()
    const first = await pushed(world, 1)
    expect(await imageOf(world)).toBe('web:1')
    expect(world.hub.statuses).toEqual([])
    expect(world.hub.checks).toMatchObject([
      {
        name: 'wherry/production',
        head_sha: first,
        status: 'completed',
        conclusion: 'success',
        output: { title: '1 workload rolled out' },
      },
    ])
    await pushed(world, 2)
    expect(asked(world, 'access_tokens')).toBe(1)
    // The token ends after an hour; a new one is there before it does.
    await world.clock.advance(59 * 60_000 + 1)
    await pushed(world, 3)
    expect(await imageOf(world)).toBe('web:3')
    expect(asked(world, 'access_tokens')).toBe(2)
    expect(asked(world, '401')).toBe(0)
  })

  test('re-runs a check on request: the commit is deployed again, in the same check run', async () => {
    const world = await aWorld()
    await pushed(world, 1)
    world.broken.add('web:2')
    const bad = await pushed(world, 2)
    await world.clock.advance(61_000)
    await world.settle()
    expect(world.hub.checks.at(-1)).toMatchObject({ head_sha: bad, conclusion: 'failure' })
    world.broken.clear()
    await world.deliver('check_run', {
      action: 'rerequested',
      check_run: { head_sha: bad, check_suite: { head_branch: 'main' } },
      repository: { full_name: 'local/web' },
    })
    for (const pod of await world.list('pods')) {
      const { conditions: _, containerStatuses: __, ...status } = (pod as never as Waiting).status
      await world.replace('pods', { ...structuredClone(pod), status } as never)
    }
    await world.settle()
    expect(world.hub.checks.filter(({ head_sha: sha }) => sha === bad)).toMatchObject([
      { conclusion: 'success' },
    ])
  })

  test('whose token GitHub no longer knows asks for another', async () => {
    const app = {
      id: '4711',
      installation: '99',
      publicKey: KEYS.publicKey,
      privateKey: KEYS.privateKey,
      tokens: new Map<string, number>(),
    }
    const world = await aWorld({ app })
    await pushed(world, 1)
    app.tokens.set('ghs_1', 0)
    await pushed(world, 2)
    await world.clock.advance(11 * 60_000)
    await world.settle()
    expect(await imageOf(world)).toBe('web:2')
    expect(asked(world, 'access_tokens')).toBe(2)
  })

  test.each([
    ['is none', { privateKey: 'hello' }, 'privateKey is not a PEM key'],
    [
      'is another app’s',
      {
        privateKey: generateKeyPairSync('rsa', {
          modulusLength: 2048,
          publicKeyEncoding: { type: 'spki', format: 'pem' },
          privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
        }).privateKey,
      },
      'GitHub answers 401 (POST /app/installations/99/access_tokens)',
    ],
  ])('whose key %s says so', async (_, change, message) => {
    const world = await aWorld()
    const secret = (await world.get('secrets', 'github')) as Secret
    secret.data = { ...secret.data, privateKey: btoa(change.privateKey) }
    await world.replace('secrets', secret)
    await pushed(world, 1)
    const { status } = await world.repository()
    expect(status?.conditions?.[0]?.message).toContain(message)
    // Neither the log nor the status says anything of the key.
    const told = JSON.stringify([status, world.log.entries])
    expect(told).not.toContain('PRIVATE KEY')
    expect(told).not.toContain(change.privateKey.slice(40, 80) || 'hello')
  })
})

interface Waiting {
  status: { conditions?: unknown; containerStatuses?: unknown }
}

describe('GitHub', () => {
  const first = (status: number, headers: Record<string, string>, text = ''): WorldOptions => {
    let isFirst = true
    return {
      fault: (_method, path) => {
        if (!path.includes('/commits/heads') || !isFirst) return undefined
        isFirst = false
        return new Response(JSON.stringify({ message: text }), { status, headers })
      },
    }
  }

  test.each<[string, WorldOptions, number]>([
    ['asks for patience in a header', first(403, { 'retry-after': '90' }), 90],
    ['asks for it with 429', first(429, { 'retry-after': '70' }), 70],
    [
      'has a secondary limit and names no time',
      first(403, {}, 'You have exceeded a secondary rate limit'),
      60,
    ],
    [
      'says when the primary limit ends',
      first(403, {
        'x-ratelimit-remaining': '0',
        'x-ratelimit-reset': String(Date.parse('2026-11-22T12:05:00Z') / 1000),
      }),
      300,
    ],
    ['is out of order, and says for how long', first(503, { 'retry-after': '40' }), 40],
    ['is out of order', first(502, {}), 5],
  ])('%s: asked again then, not before', async (_, options, seconds) => {
    const world = await aWorld(options)
    await pushed(world, 1)
    const count = world.github.requests.length
    await world.clock.advance(seconds * 1000 - 1000)
    await world.settle()
    expect(world.github.requests).toHaveLength(count)
    await world.clock.advance(3000)
    await world.settle()
    expect(await imageOf(world)).toBe('web:1')
  })

  test('that does not answer is given up after 20 seconds, and asked again', async () => {
    let isSlow = true
    let hasAsked = (): void => undefined
    const asking = new Promise<void>((resolve) => (hasAsked = resolve))
    const world = await aWorld({
      fault(_method, path) {
        if (!isSlow || !path.includes('/commits/heads')) return undefined
        hasAsked()
        return new Promise<Response>(() => {})
      },
    })
    world.git.commit('1', { 'k8s/app.yaml': appManifest('web:1') })
    await world.push('1')
    const run = world.settle()
    await asking
    await world.clock.advance(20_000)
    await run
    expect((await world.repository()).status?.retry?.message).toContain('no answer in 20 s')
    isSlow = false
    await world.clock.advance(10_000)
    await world.settle()
    expect(await imageOf(world)).toBe('web:1')
  })

  test('that answers HTML, nothing, or half an archive breaks nothing', async () => {
    const answers = [
      (path: string) => path.includes('/commits/heads') && new Response('<html>unicorn</html>'),
      (path: string) => path.includes('/commits/heads') && Response.json({ sha: 'nonsense' }),
      (path: string) => path.startsWith('/codeload') && new Response(new Uint8Array([31, 139, 8])),
    ]
    const world = await aWorld({
      fault: (_method, path) => {
        const answer = answers[0]?.(path)
        if (!answer) return undefined
        answers.shift()
        return answer
      },
    })
    await pushed(world, 1)
    for (let attempt = 0; attempt < 4; attempt++) {
      await world.clock.advance(60_000)
      await world.settle()
    }
    expect(answers).toEqual([])
    expect(await imageOf(world)).toBe('web:1')
    expect(world.log.entries.filter(({ severity }) => severity === 'ERROR')).toEqual([])
  })
})
