// A world whose agent drives a real Docker Engine, and what tests of it ask again and again.

import { expect } from 'vitest'
import type { Container, ContainerStatus, VolumeMount } from '#shared/api/pod.ts'
import { BOX, type TestEngine } from '../../support/docker-engine.ts'
import { createWorld, eventually, type World } from '../world.ts'

/** Longer than any start of a container, on a machine with much else to do. */
const PATIENCE = { timeout: 90_000, interval: 50 }

/** With an agent that runs. */
export async function createDockerWorld(engine: TestEngine): Promise<World> {
  const world = await createWorld({
    agentEnv: { WHERRY_RUNTIME: 'docker', WHERRY_DOCKER_SOCKET: engine.socketPath },
    enter: () => engine.enter,
  })
  world.startAgent()
  await eventually('a Node', () => world.reports.some(({ node }) => node), 60_000)
  return world
}

/** A container that runs a script. */
export function box(script: string, more: Partial<Container> = {}): Container {
  return {
    name: 'box',
    image: BOX,
    imagePullPolicy: 'IfNotPresent',
    command: ['sh', '-c', script],
    ...more,
  }
}

/** A list of one mount, of the volume `v`. */
export function mount(mountPath: string, more: Partial<VolumeMount> = {}): VolumeMount[] {
  return [{ name: 'v', mountPath, ...more }]
}

export function statusOf(world: World, name: string): ContainerStatus | undefined {
  return world.status(name)?.containerStatuses?.[0]
}

export async function ended(world: World, name: string): Promise<void> {
  await expect.poll(() => world.status(name)?.phase, PATIENCE).toMatch(/^(Succeeded|Failed)$/)
}

export async function ready(world: World, name: string): Promise<void> {
  const isReady = (): boolean | undefined =>
    world
      .status(name)
      ?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')
  await expect.poll(isReady, PATIENCE).toBe(true)
}

/** `query`: as kubectl sends it. */
export async function logsOf(world: World, name: string, query = ''): Promise<string> {
  return (await world.ask(`/containerLogs/default/${name}/box?${query}`)).text()
}
