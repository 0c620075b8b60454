// Images that follow what was built: from the signed event to a pod with that digest, beside what Git
// says, back again when it fails.

import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Deployment } from '#shared/api/deployment.ts'
import { createWorld, type World, type WorldOptions } from './world.ts'

// Each world starts git several times, which a busy machine is slow at.
vi.setConfig({ testTimeout: 120_000 })

const worlds: World[] = []

afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
})

const IMAGE = 'ghcr.io/local/web'
const digest = (digit: number): string => `sha256:${String(digit).repeat(64)}`

/** A container registry with the token dance of ghcr.io. */
class Registry {
  readonly tags = new Map<string, string>()
  readonly asked: string[] = []
  isAway = false

  answer(request: Request): Response {
    const url = new URL(request.url)
    this.asked.push(`${request.method} ${url.pathname}`)
    if (this.isAway) return new Response('', { status: 503 })
    const authorization = request.headers.get('authorization')
    if (url.pathname === '/token') {
      const isRight =
        url.searchParams.get('scope') === 'repository:local/web:pull' &&
        authorization === `Basic ${btoa('wherry:ghp_test')}`
      return isRight ? Response.json({ token: 'pull' }) : new Response('', { status: 403 })
    }
    if (authorization !== 'Bearer pull') {
      const challenge = 'Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="x"'
      return new Response('', { status: 401, headers: { 'www-authenticate': challenge } })
    }
    if (url.pathname.endsWith('/tags/list')) return Response.json({ tags: [...this.tags.keys()] })
    const found = this.tags.get(url.pathname.split('/').at(-1) ?? '')
    return new Response(null, {
      status: found ? 200 : 404,
      headers: found ? { 'docker-content-digest': found } : {},
    })
  }
}

interface Here extends World {
  registry: Registry
}

async function aWorld(options: WorldOptions = {}): Promise<Here> {
  const registry = new Registry()
  const world = await createWorld({
    spec: { path: 'k8s', rollout: { timeoutSeconds: 30, rollback: 'Auto' } },
    registry: (request) => registry.answer(request),
    ...options,
  })
  worlds.push(world)
  return Object.assign(world, { registry })
}

function manifest(
  image = `${IMAGE}:1.0.0`,
  follows: string | undefined = `web=${IMAGE}:1.*`,
): string {
  const annotations = follows ? `, annotations: { deploy.wherry.dev/images: '${follows}' }` : ''
  return `apiVersion: apps/v1
kind: Deployment
metadata: { name: web${annotations} }
spec:
  progressDeadlineSeconds: 60
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: '${image}' }, { name: log, image: 'log:1' }] }
`
}

async function pushed(world: World, text: string): Promise<string> {
  const commit = world.git.commit('push', { 'k8s/app.yaml': text })
  await world.push(commit)
  await world.settle()
  return commit
}

async function built(
  world: World,
  tag: string,
  of = digest(2),
  event = 'registry_package',
): Promise<void> {
  await world.deliver(event, {
    action: 'published',
    [event]: {
      name: 'web',
      namespace: 'local',
      package_type: 'CONTAINER',
      package_version: { version: of, container_metadata: { tag: { name: tag, digest: of } } },
    },
    repository: { full_name: 'local/web' },
  })
  await world.settle()
}

async function ran(world: World): Promise<void> {
  await world.deliver('workflow_run', {
    action: 'completed',
    workflow_run: { name: 'build', conclusion: 'success', head_branch: 'main' },
    repository: { full_name: 'local/web' },
  })
  await world.settle()
}

async function deploymentOf(world: World): Promise<Deployment> {
  return (await world.get('deployments.apps', 'web')) as Deployment
}

async function imagesOf(world: World): Promise<(string | undefined)[]> {
  return (await deploymentOf(world)).spec.template.spec.containers.map(({ image }) => image)
}

const pin = (tag: string, digit: number): string => `${IMAGE}:${tag}@${digest(digit)}`

describe('an image that was built', () => {
  test.each(['package', 'registry_package'])(
    'is what its container runs, by its digest (%s)',
    async (event) => {
      const world = await aWorld()
      const commit = await pushed(world, manifest())
      await built(world, '1.2.0', digest(2), event)
      expect(await imagesOf(world)).toEqual([pin('1.2.0', 2), 'log:1'])
      const { status } = await world.repository()
      expect(status?.deploy).toMatchObject({ commit, phase: 'Healthy' })
      expect(status?.images).toMatchObject([{ wants: `${IMAGE}:1.*`, image: pin('1.2.0', 2) }])
      expect(status?.imageEvents).toBeUndefined()
      // The digest came with the event: nobody else was asked.
      expect(world.registry.asked).toEqual([])
      expect(world.hub.statuses.at(-1)).toMatchObject({ sha: commit, state: 'success' })
    },
  )

  test('stays when Git is pushed, and Git keeps the rest: each owns its fields', async () => {
    const world = await aWorld()
    await pushed(world, manifest())
    await built(world, '1.2.0')
    await pushed(world, manifest().replace('log:1', 'log:2'))
    expect(await imagesOf(world)).toEqual([pin('1.2.0', 2), 'log:2'])
    expect((await world.repository()).status?.deploy).toMatchObject({
      changed: 1,
      phase: 'Healthy',
    })
    const owner = (name: string): string =>
      JSON.stringify(managers.find(({ manager }) => manager === name) ?? {})
    const managers = (await deploymentOf(world)).metadata.managedFields ?? []
    const container = '"k:{\\"name\\":\\"web\\"}":{'
    expect(owner('wherry-images')).toContain('"f:image"')
    const ofGit = owner('wherry-deploys')
    expect(ofGit).toContain(container)
    const own = ofGit.slice(ofGit.indexOf(container), ofGit.indexOf('}', ofGit.indexOf(container)))
    expect(own).not.toContain('f:image')
    // Nothing is left to do, and nothing drifts.
    expect((await world.repository()).status?.drift).toBeUndefined()
    const version = (await world.live.catchUp()).version
    await world.settle()
    expect((await world.live.catchUp()).version).toBe(version)
    // What no longer follows is Git's again.
    await pushed(world, manifest(`${IMAGE}:1.0.0`, ''))
    expect(await imagesOf(world)).toEqual([`${IMAGE}:1.0.0`, 'log:1'])
    expect((await world.repository()).status?.images).toBeUndefined()
  })

  test('that nobody asked for, or that is older, changes nothing', async () => {
    const world = await aWorld()
    await pushed(world, manifest())
    await built(world, '1.2.0')
    for (const tag of ['2.0.0', '1.1.9', 'latest']) await built(world, tag, digest(3))
    expect(await imagesOf(world)).toEqual([pin('1.2.0', 2), 'log:1'])
    expect((await world.repository()).status?.imageEvents).toBeUndefined()
  })

  test('that fails is taken back, and does not come again; the next one runs', async () => {
    const world = await aWorld()
    const commit = await pushed(world, manifest())
    await built(world, '1.2.0')
    world.broken.add(pin('1.3.0', 3))
    await built(world, '1.3.0', digest(3))
    await world.clock.advance(31_000)
    await world.settle()
    expect(await imagesOf(world)).toEqual([pin('1.2.0', 2), 'log:1'])
    const { status } = await world.repository()
    expect(status?.skipped).toEqual([pin('1.3.0', 3)])
    expect(status?.deploy).toMatchObject({ commit, phase: 'Healthy' })
    await built(world, '1.3.0', digest(3))
    expect(await imagesOf(world)).toEqual([pin('1.2.0', 2), 'log:1'])
    await built(world, '1.3.1', digest(4))
    expect(await imagesOf(world)).toEqual([pin('1.3.1', 4), 'log:1'])
    // By hand: back to the image before.
    await world.annotate({ 'deploy.wherry.dev/rollback': 'now' })
    await world.settle()
    expect(await imagesOf(world)).toEqual([pin('1.2.0', 2), 'log:1'])
  })
})

describe('a workflow that succeeded', () => {
  test('lets the registry be asked: the highest version, resolved once', async () => {
    const world = await aWorld()
    world.registry.tags.set('1.9.0', digest(8)).set('1.10.0', digest(9)).set('2.0.0', digest(1))
    await pushed(world, manifest())
    await ran(world)
    expect(await imagesOf(world)).toEqual([pin('1.10.0', 9), 'log:1'])
    const count = world.registry.asked.length
    await pushed(world, manifest().replace('log:1', 'log:2'))
    world.restart()
    await world.settle()
    expect(world.registry.asked).toHaveLength(count)
  })

  test('finds a tag that has moved', async () => {
    const world = await aWorld()
    world.registry.tags.set('main', digest(5))
    await pushed(world, manifest(`${IMAGE}:main`, `web=${IMAGE}:main`))
    await ran(world)
    expect(await imagesOf(world)).toEqual([pin('main', 5), 'log:1'])
    world.registry.tags.set('main', digest(6))
    await ran(world)
    expect(await imagesOf(world)).toEqual([pin('main', 6), 'log:1'])
  })

  test('while the registry is away: it is asked again later', async () => {
    const world = await aWorld()
    await pushed(world, manifest())
    world.registry.tags.set('1.4.0', digest(4))
    world.registry.isAway = true
    await ran(world)
    expect((await world.repository()).status?.retry?.message).toContain('503')
    expect(await imagesOf(world)).toEqual([`${IMAGE}:1.0.0`, 'log:1'])
    world.registry.isAway = false
    await world.clock.advance(60_000)
    await world.settle()
    expect(await imagesOf(world)).toEqual([pin('1.4.0', 4), 'log:1'])
  })

  test.each([
    ['10.0.0.1/web', '10.0.0.1 is no registry that is asked'],
    ['metadata.google.internal/web', 'is no registry that is asked'],
    ['ghcr.io/local/other', 'GitHub answers 403'],
  ])('for an image at %s asks nobody it should not', async (image, message) => {
    const world = await aWorld()
    await pushed(world, manifest(`${image}:1`, `web=${image}:1`))
    await ran(world)
    const { status } = await world.repository()
    const trouble = status?.conditions?.find(({ type }) => type === 'Images')
    expect(trouble).toMatchObject({ status: 'False' })
    expect(trouble?.message).toContain(message)
    expect(status?.deploy?.phase).toBe('Healthy')
  })
})

test('an annotation that cannot be read is refused with the deploy', async () => {
  const world = await aWorld()
  await pushed(world, manifest(`${IMAGE}:1.0.0`, `wbe=${IMAGE}:1.*`))
  expect((await world.repository()).status?.deploy).toMatchObject({
    phase: 'Refused',
    message: 'Deployment "web", deploy.wherry.dev/images: there is no container wbe',
  })
})
