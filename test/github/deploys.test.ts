// Pushes, from the signed webhook to pods that run and a GitHub that knows: over a real git repository.

import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Deployment } from '#shared/api/deployment.ts'
import { appManifest, createWorld, type World, type WorldOptions } from './world.ts'

// Each world starts git several times, which a busy machine is slow at.
vi.setConfig({ testTimeout: 120_000 })

const worlds: World[] = []

async function aWorld(options: WorldOptions = {}): Promise<World> {
  const world = await createWorld({ spec: { path: 'k8s' }, ...options })
  worlds.push(world)
  return world
}

afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
})

async function imageOf(world: World, namespace = 'default'): Promise<string | undefined> {
  const deployment = (await world.get('deployments.apps', 'web', namespace)) as
    | Deployment
    | undefined
  return deployment?.spec.template.spec.containers[0]?.image
}

async function pushed(
  world: World,
  message: string,
  files: Record<string, string | null>,
): Promise<string> {
  const commit = world.git.commit(message, files)
  await world.push(commit)
  await world.settle()
  return commit
}

describe('a push', () => {
  test('runs, all objects in one commit, and GitHub is told', async () => {
    const world = await aWorld()
    const commit = await pushed(world, 'first\n\nmore', { 'k8s/app.yaml': appManifest('web:1') })
    expect(await imageOf(world)).toBe('web:1')
    const { status } = await world.repository()
    expect(status?.deploy).toMatchObject({
      commit,
      subject: 'first',
      phase: 'Healthy',
      objects: 2,
      created: 2,
    })
    expect(status?.lastGood).toBe(commit)
    expect(status?.outbox).toBeUndefined()
    expect(world.hub.statuses.map(({ state }) => state)).toEqual(['pending', 'success'])
    expect(world.hub.deployments[0]?.statuses.map(({ state }) => state)).toEqual([
      'in_progress',
      'success',
    ])
    expect(world.log.entries.filter(({ severity }) => severity === 'ERROR')).toEqual([])
  })

  test('that changes one object writes that object only, and says which commit did it', async () => {
    const world = await aWorld()
    await pushed(world, 'first', { 'k8s/app.yaml': appManifest('web:1') })
    const service = await world.get('services', 'web')
    const commit = await pushed(world, 'second', { 'k8s/app.yaml': appManifest('web:2') })
    expect(await imageOf(world)).toBe('web:2')
    expect(await world.get('services', 'web')).toEqual(service)
    const deployment = await world.get('deployments.apps', 'web')
    expect(deployment?.metadata.annotations?.['deploy.wherry.dev/commit']).toBe(commit)
    expect((await world.repository()).status?.deploy).toMatchObject({ created: 0, changed: 1 })
  })

  test('keeps what others have set, takes back what Git owns and no longer says', async () => {
    const world = await aWorld()
    const labelled = appManifest('web:1').replace(
      'labels: { app: web } }\nspec',
      'labels: { app: web, tier: front } }\nspec',
    )
    await pushed(world, 'first', { 'k8s/app.yaml': labelled })
    const deployment = await world.get('deployments.apps', 'web')
    if (!deployment) throw new Error('no deployment')
    deployment.metadata.labels = { ...deployment.metadata.labels, mine: 'yes' }
    await world.replace('deployments.apps', deployment)
    await pushed(world, 'second', { 'k8s/app.yaml': appManifest('web:2') })
    const after = await world.get('deployments.apps', 'web')
    expect(after?.metadata.labels).toEqual({
      app: 'web',
      mine: 'yes',
      'deploy.wherry.dev/repository': 'web',
    })
  })

  test('of something invalid applies nothing and says everything that is wrong', async () => {
    const world = await aWorld()
    const good = await pushed(world, 'first', { 'k8s/app.yaml': appManifest('web:1') })
    const bad = await pushed(world, 'bad', {
      'k8s/app.yaml': appManifest('web:2').replace('replicas: 2', 'replicas: -1'),
      'k8s/b.yaml': 'apiVersion: v1\nkind: Service\nmetadata: { name: b }\nspec: { prots: [] }\n',
      'k8s/c.yaml': 'apiVersion: acme.dev/v1\nkind: Gadget\nmetadata: { name: c }\n',
    })
    expect(await imageOf(world)).toBe('web:1')
    const { status } = await world.repository()
    expect(status?.deploy).toMatchObject({ commit: bad, phase: 'Refused' })
    expect(status?.lastGood).toBe(good)
    const message = status?.deploy?.message ?? ''
    expect(message).toContain('spec.replicas: Invalid value: -1')
    expect(message).toContain('unknown field "spec.prots"')
    expect(message).toContain('no matches for kind "Gadget" in version "acme.dev/v1"')
    expect(world.hub.statuses.at(-1)).toMatchObject({ sha: bad, state: 'failure' })
    expect(await world.get('services', 'b')).toBeUndefined()
  })

  test('is not deployed twice, whoever delivers it how often', async () => {
    const world = await aWorld()
    const commit = world.git.commit('first', { 'k8s/app.yaml': appManifest('web:1') })
    await world.push(commit, { id: 'one' })
    await world.settle()
    const { status } = await world.repository()
    const version = (await world.live.catchUp()).version
    expect((await world.push(commit, { id: 'one' })).status).toBe(202)
    await world.settle()
    expect((await world.live.catchUp()).version).toBe(version)
    expect((await world.repository()).status).toEqual(status)
  })

  test('that arrives before an older one wins', async () => {
    const world = await aWorld()
    const first = world.git.commit('first', { 'k8s/app.yaml': appManifest('web:1') })
    const second = world.git.commit('second', { 'k8s/app.yaml': appManifest('web:2') })
    await world.push(second)
    await world.settle()
    await world.push(first)
    await world.settle()
    expect(await imageOf(world)).toBe('web:2')
    expect((await world.repository()).status?.deploy?.commit).toBe(second)
  })

  test('by force goes to where the branch is now; a deleted branch leaves what runs', async () => {
    const world = await aWorld()
    await pushed(world, 'first', { 'k8s/app.yaml': appManifest('web:1') })
    await pushed(world, 'second', { 'k8s/app.yaml': appManifest('web:2') })
    world.git.git('reset', '-q', '--hard', 'HEAD~1')
    const payload = {
      ref: 'refs/heads/main',
      forced: true,
      after: '1',
      repository: { full_name: 'local/web' },
    }
    await world.deliver('push', payload)
    await world.settle()
    expect(await imageOf(world)).toBe('web:1')
    world.git.git('checkout', '-q', '-b', 'other')
    world.git.git('branch', '-q', '-D', 'main')
    await world.deliver('push', {
      ref: 'refs/heads/main',
      deleted: true,
      repository: { full_name: 'local/web' },
    })
    await world.clock.advance(11 * 60_000)
    await world.settle()
    expect(await imageOf(world)).toBe('web:1')
    const { status } = await world.repository()
    expect(status?.deliveries?.at(-1)?.outcome).toContain('was deleted')
    expect(status?.conditions?.[0]).toMatchObject({ type: 'Source', status: 'False' })
  })

  test('that no webhook told of is found when it is time to compare', async () => {
    const world = await aWorld()
    await pushed(world, 'first', { 'k8s/app.yaml': appManifest('web:1') })
    world.git.commit('second', { 'k8s/app.yaml': appManifest('web:2') })
    await world.settle()
    expect(await imageOf(world)).toBe('web:1')
    await world.clock.advance(10 * 60_000 + 1000)
    await world.settle()
    expect(await imageOf(world)).toBe('web:2')
    // When nothing is new, asking costs nothing and writes nothing.
    const version = (await world.live.catchUp()).version
    await world.clock.advance(10 * 60_000 + 1000)
    await world.settle()
    expect(world.github.requests.at(-1)).toBe('GET /repos/local/web/commits/heads/main 304')
    expect((await world.live.catchUp()).version).toBe(version)
  })

  test('of a tag: the highest version runs, whatever is tagged last', async () => {
    const world = await aWorld({ spec: { path: 'k8s', tags: 'v*', branch: '' } })
    const tag = async (name: string): Promise<void> => {
      world.git.git('tag', name)
      await world.deliver('create', {
        ref: name,
        ref_type: 'tag',
        repository: { full_name: 'local/web' },
      })
      await world.settle()
    }
    world.git.commit('ten', { 'k8s/app.yaml': appManifest('web:10') })
    await tag('v1.10.0')
    expect(await imageOf(world)).toBe('web:10')
    world.git.commit('nine', { 'k8s/app.yaml': appManifest('web:9') })
    await tag('v1.9.1')
    await tag('v2.0.0-rc.1')
    await tag('nightly')
    expect(await imageOf(world)).toBe('web:9')
    world.git.commit('two', { 'k8s/app.yaml': appManifest('web:2') })
    await tag('v2.0.0')
    expect(await imageOf(world)).toBe('web:2')
  })
})

describe('what has left Git', () => {
  const service = (name: string, annotations = ''): string =>
    `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}${annotations} }\nspec: { ports: [{ port: 80 }] }\n`

  test('goes, but not what is protected, and never too much at once', async () => {
    const world = await aWorld()
    await pushed(world, 'first', {
      'k8s/app.yaml': appManifest('web:1'),
      'k8s/a.yaml': service('a'),
      'k8s/b.yaml': service('b', ', annotations: { deploy.wherry.dev/prune: disabled }'),
    })
    await pushed(world, 'second', { 'k8s/a.yaml': null, 'k8s/b.yaml': null })
    expect(await world.get('services', 'a')).toBeUndefined()
    expect(await world.get('services', 'b')).toBeDefined()
    expect((await world.repository()).status?.deploy).toMatchObject({ pruned: 1, phase: 'Healthy' })

    const commit = await pushed(world, 'third', {
      'k8s/app.yaml': null,
      'k8s/c.yaml': service('c'),
    })
    expect(await imageOf(world)).toBe('web:1')
    const { status } = await world.repository()
    expect(status?.deploy?.message).toContain('would remove 2 of 3 objects, more than 50 %')

    await world.annotate({ 'deploy.wherry.dev/allow-prune': commit })
    await world.settle()
    expect(await imageOf(world)).toBeUndefined()
    expect(await world.get('services', 'c')).toBeDefined()
  })

  test('stays when nothing can be rendered at all', async () => {
    const world = await aWorld()
    await pushed(world, 'first', { 'k8s/app.yaml': appManifest('web:1') })
    await pushed(world, 'moved', { 'k8s/app.yaml': null, 'deploy/app.yaml': appManifest('web:2') })
    expect(await imageOf(world)).toBe('web:1')
    expect((await world.repository()).status?.deploy).toMatchObject({
      phase: 'Refused',
      message: 'k8s: there is no such folder at this commit',
    })
  })

  test('is only what this Repository has made', async () => {
    const world = await aWorld()
    const other = {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name: 'other',
        namespace: 'default',
        uid: 'other',
        creationTimestamp: '2026-11-22T11:00:00Z',
        labels: { 'deploy.wherry.dev/repository': 'web' },
        annotations: { 'deploy.wherry.dev/owner': 'elsewhere/web' },
      },
      spec: { ports: [{ port: 80 }] },
    }
    await world.create('services', other)
    await pushed(world, 'first', { 'k8s/app.yaml': appManifest('web:1') })
    expect(await world.get('services', 'other')).toBeDefined()
    await pushed(world, 'second', { 'k8s/o.yaml': service('other') })
    expect((await world.repository()).status?.deploy?.message).toContain(
      'is deployed by the Repository elsewhere/web',
    )
  })
})

describe('a rollout that fails', () => {
  test('is reported with the reason, and the next push deploys again', async () => {
    const world = await aWorld()
    await pushed(world, 'first', { 'k8s/app.yaml': appManifest('web:1') })
    world.broken.add('web:2')
    const bad = await pushed(world, 'second', { 'k8s/app.yaml': appManifest('web:2') })
    expect((await world.repository()).status?.deploy?.phase).toBe('Progressing')
    await world.clock.advance(61_000)
    await world.settle()
    const { status } = await world.repository()
    expect(status?.deploy).toMatchObject({ commit: bad, phase: 'Failed' })
    expect(status?.deploy?.message).toContain('exceeded its progress deadline: pod "web-')
    expect(status?.deploy?.message).toContain('CrashLoopBackOff')
    expect(world.hub.statuses.at(-1)).toMatchObject({ sha: bad, state: 'failure' })
    await pushed(world, 'third', { 'k8s/app.yaml': appManifest('web:3') })
    expect((await world.repository()).status?.deploy?.phase).toBe('Healthy')
  })

  test('goes back by itself, and Git agrees: the bad commit is skipped, the next one is not', async () => {
    const world = await aWorld({
      spec: { path: 'k8s', rollout: { timeoutSeconds: 30, rollback: 'Auto' } },
    })
    const good = await pushed(world, 'first', { 'k8s/app.yaml': appManifest('web:1') })
    world.broken.add('web:2')
    const bad = await pushed(world, 'second', {
      'k8s/app.yaml': appManifest('web:2'),
      'k8s/new.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: new }\n',
    })
    expect(await world.get('configmaps', 'new')).toBeDefined()
    expect(world.wakes.at(-1)).toBe(Date.parse('2026-11-22T12:00:30Z'))
    await world.clock.advance(31_000)
    await world.settle()
    expect(await imageOf(world)).toBe('web:1')
    expect(await world.get('configmaps', 'new')).toBeUndefined()
    const { status } = await world.repository()
    expect(status).toMatchObject({ lastGood: good, skipped: [bad] })
    expect(status?.deploy).toMatchObject({ commit: good, phase: 'Healthy', instead: bad })
    expect(status?.deploy?.message).toContain('was not ready after 30 s')
    expect(world.hub.statuses.filter(({ sha }) => sha === bad).at(-1)?.state).toBe('failure')
    // Neither a restart nor the comparison brings the bad commit back.
    world.restart()
    await world.clock.advance(11 * 60_000)
    await world.settle()
    expect(await imageOf(world)).toBe('web:1')
    await pushed(world, 'third', { 'k8s/app.yaml': appManifest('web:3') })
    expect(await imageOf(world)).toBe('web:3')
  })

  test('works without GitHub', async () => {
    let isAway = false
    const world = await aWorld({
      spec: { path: 'k8s', rollout: { timeoutSeconds: 30, rollback: 'Auto' } },
      fault: () => (isAway ? new Response('unicorn', { status: 502 }) : undefined),
    })
    await pushed(world, 'first', { 'k8s/app.yaml': appManifest('web:1') })
    world.broken.add('web:2')
    const bad = await pushed(world, 'second', { 'k8s/app.yaml': appManifest('web:2') })
    isAway = true
    await world.clock.advance(31_000)
    await world.settle()
    expect(await imageOf(world)).toBe('web:1')
    expect((await world.repository()).status?.retry?.message).toContain('GitHub answers 502')
    isAway = false
    await world.clock.advance(3_600_000)
    await world.settle()
    expect(world.hub.statuses.filter(({ sha }) => sha === bad).at(-1)?.state).toBe('failure')
    expect((await world.repository()).status?.outbox).toBeUndefined()
  })

  test('by a person works while GitHub is away and asked again later', async () => {
    let isAway = false
    const world = await aWorld({
      fault: () => (isAway ? new Response('', { status: 502 }) : undefined),
    })
    await pushed(world, 'first', { 'k8s/app.yaml': appManifest('web:1') })
    await pushed(world, 'second', { 'k8s/app.yaml': appManifest('web:2') })
    isAway = true
    await pushed(world, 'third', { 'k8s/app.yaml': appManifest('web:3') })
    expect((await world.repository()).status?.retry).toBeDefined()
    await world.annotate({ 'deploy.wherry.dev/rollback': 'now' })
    await world.settle()
    expect(await imageOf(world)).toBe('web:1')
  })

  test('by a person: an annotation goes back to the good commit before', async () => {
    const world = await aWorld()
    const first = await pushed(world, 'first', { 'k8s/app.yaml': appManifest('web:1') })
    const second = await pushed(world, 'second', { 'k8s/app.yaml': appManifest('web:2') })
    await world.annotate({ 'deploy.wherry.dev/rollback': 'now' })
    await world.settle()
    expect(await imageOf(world)).toBe('web:1')
    const { status } = await world.repository()
    expect(status).toMatchObject({ rolledBack: 'now', skipped: [second] })
    expect(status?.deploy).toMatchObject({ commit: first, phase: 'Healthy' })
    // Asked for again on GitHub, the commit is deployed once more.
    await world.deliver('check_run', {
      action: 'rerequested',
      check_run: { head_sha: second, check_suite: { head_branch: 'main' } },
      repository: { full_name: 'local/web' },
    })
    await world.settle()
    expect(await imageOf(world)).toBe('web:2')
  })
})

describe('a revert pull request', () => {
  async function rolledBack(options: WorldOptions = {}, meanwhile = false): Promise<World> {
    const world = await aWorld({
      spec: {
        path: 'k8s',
        rollout: { timeoutSeconds: 30, rollback: 'Auto', revertPullRequest: true },
      },
      ...options,
    })
    await pushed(world, 'first', { 'k8s/app.yaml': appManifest('web:1'), 'other.txt': 'one' })
    world.broken.add('web:2')
    await pushed(world, 'second', { 'k8s/app.yaml': appManifest('web:2'), 'other.txt': 'two' })
    if (meanwhile) world.git.commit('third', { 'other.txt': 'three' })
    await world.clock.advance(31_000)
    await world.settle()
    return world
  }

  test('brings the branch back to what runs; merged, it is deployed', async () => {
    const world = await rolledBack()
    const { status } = await world.repository()
    expect(status?.revert).toMatchObject({
      phase: 'Open',
      url: 'https://github.com/local/web/pull/1',
    })
    expect(world.hub.pulls).toHaveLength(1)
    const branch = world.hub.pulls[0]?.branch ?? ''
    expect(world.git.git('diff', '--name-only', 'main~1', branch)).toBe('')
    expect(world.git.git('rev-parse', `${branch}^`)).toBe(world.git.git('rev-parse', 'main'))
    expect(world.git.git('log', '-1', '--format=%B', branch)).toContain('was not ready after 30 s')
    world.git.git('merge', '-q', '--ff-only', branch)
    const merged = world.git.git('rev-parse', 'main')
    await world.push(merged)
    await world.settle()
    expect((await world.repository()).status?.deploy).toMatchObject({
      commit: merged,
      phase: 'Healthy',
    })
    expect(await imageOf(world)).toBe('web:1')
  })

  test('is opened once, whatever fails between the steps and is asked again', async () => {
    const failing = ['POST /repos/local/web/git/refs', 'POST /repos/local/web/pulls']
    let after: string | undefined
    const world = await rolledBack({
      fault(method, path) {
        if (`${method} ${path}` !== failing[0]) return undefined
        after = failing.shift()
        return new Response('', { status: 502 })
      },
    })
    for (let attempt = 0; attempt < 3; attempt++) {
      await world.clock.advance(60_000)
      await world.settle()
    }
    expect(after).toBe('POST /repos/local/web/pulls')
    expect(world.hub.pulls).toHaveLength(1)
    expect((await world.repository()).status?.revert?.phase).toBe('Open')
    world.restart()
    await world.clock.advance(11 * 60_000)
    await world.settle()
    expect(world.hub.pulls).toHaveLength(1)
  })

  test('is not opened when somebody has pushed meanwhile, or the token may not write', async () => {
    const moved = await rolledBack({}, true)
    expect((await moved.repository()).status?.revert).toMatchObject({
      phase: 'Refused',
      message: 'main has moved on',
    })
    const weak = await rolledBack({
      fault: (method, path) =>
        method === 'POST' && path.endsWith('/git/commits')
          ? Response.json({ message: 'Resource not accessible' }, { status: 403 })
          : undefined,
    })
    expect((await weak.repository()).status?.revert?.message).toContain('Resource not accessible')
    expect(await imageOf(weak)).toBe('web:1')
    expect((await weak.repository()).status?.outbox).toBeUndefined()
  })
})

describe('drift', () => {
  async function drifted(drift: 'Report' | 'Heal'): Promise<World> {
    const world = await aWorld({ spec: { path: 'k8s', drift } })
    await pushed(world, 'first', { 'k8s/app.yaml': appManifest('web:1') })
    const deployment = (await world.get('deployments.apps', 'web')) as Deployment
    deployment.spec.template.spec.containers[0]!.image = 'web:by-hand'
    deployment.metadata.generation = 2
    await world.replace('deployments.apps', deployment)
    await world.settle()
    return world
  }

  test('is reported', async () => {
    const world = await drifted('Report')
    expect((await world.repository()).status?.drift).toEqual(['deployments.apps/default/web'])
    expect(await imageOf(world)).toBe('web:by-hand')
  })

  test('is put back when the Repository says so', async () => {
    const world = await drifted('Heal')
    expect(await imageOf(world)).toBe('web:1')
    expect((await world.repository()).status?.drift).toBeUndefined()
  })
})
