// Pushes, from the signed webhook to pods that run and a GitHub that knows: over a real git repository.

import { afterEach, describe, expect, test } from 'vitest'
import type { Deployment } from '#shared/api/deployment.ts'
import { appManifest, createWorld, type World, type WorldOptions } from './world.ts'

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
})
