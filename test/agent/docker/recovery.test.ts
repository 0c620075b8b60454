// What containers on Docker outlive: their agent, their engine's death, a power cut. And people at
// them: terminals, images that need a password.

import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import {
  childOf,
  startTestEngine,
  whyNoEngine,
  type TestEngine,
} from '../../support/docker-engine.ts'
import { startTestRegistry, type TestRegistry } from '../../support/docker-registry.ts'
import { eventually, podOf, type World } from '../world.ts'
import { box, createDockerWorld, ended, logsOf, ready, statusOf } from './docker-world.ts'

const PATIENCE = { timeout: 90_000, interval: 50 }
const COUNT = 'n=0; while :; do n=$((n+1)); echo line $n; usleep 20000; done'

describe.skipIf(whyNoEngine())('containers on Docker', { timeout: 180_000 }, () => {
  let engine: TestEngine
  let world: World
  let registry: TestRegistry

  beforeAll(async () => {
    engine = await startTestEngine()
    registry = await startTestRegistry(engine)
    world = await createDockerWorld(engine)
    await world.want((desired) => {
      desired.secrets.push(registry.secret)
      desired.pods.push(
        podOf('counts', { containers: [box(COUNT)] }),
        podOf('private', {
          imagePullSecrets: [{ name: registry.secret.metadata.name }],
          restartPolicy: 'Never',
          containers: [box('echo pulled', { image: registry.image, imagePullPolicy: 'Always' })],
        }),
        podOf('refused', {
          containers: [box('true', { image: registry.image, imagePullPolicy: 'Always' })],
        }),
      )
    })
  }, 120_000)
  afterAll(async () => {
    await world?.close()
    registry?.close()
    await engine?.close()
  }, 60_000)

  test('are pulled with the secret of their pod, and not without', async () => {
    await ended(world, 'private')
    expect(await logsOf(world, 'private')).toBe('pulled\n')
    expect(statusOf(world, 'private')?.imageID).toMatch(/^127\.0\.0\.1:\d+\/box@sha256:/)
    const waiting = (): string | undefined => statusOf(world, 'refused')?.state?.waiting?.reason
    await expect.poll(waiting, PATIENCE).toMatch(/^(ErrImagePull|ImagePullBackOff)$/)
    expect(statusOf(world, 'refused')?.state?.waiting?.message).toMatch(
      /rpc error: code = Unknown desc = Error response from daemon: .*(no basic auth|unauthorized)/,
    )
    const told = JSON.stringify(world.reports)
    expect(told.includes(registry.password)).toBe(false)
  })

  test('have a terminal for who asks for one, as wide as theirs', async () => {
    await ready(world, 'counts')
    const said = await terminal(world, 'counts', ['sh', '-c', 'tty; read line; stty size; exit 7'])
    expect(said.text).toMatch(/\/dev\/pts\/0\r\n(.*\r\n)?33 111\r\n/s)
    expect(said.status).toContain('"message":"7"')
  })

  test('go on without their agent; the next one adopts them and misses no line', async () => {
    await ready(world, 'counts')
    const before = statusOf(world, 'counts')
    await killAgent(world)
    const reports = world.reports.length
    world.startAgent()
    await eventually('a report', () => world.reports.length > reports, 60_000)
    await eventually(
      'its logs',
      async () => (await logsOf(world, 'counts')).includes('line'),
      60_000,
    )
    const now = statusOf(world, 'counts')
    expect(now).toMatchObject({
      containerID: before?.containerID,
      restartCount: 0,
      state: before?.state ?? {},
    })
    const lines = (): Promise<string> => logsOf(world, 'counts')
    const first = (await lines()).split('\n').length
    await expect
      .poll(async () => (await lines()).split('\n').length, PATIENCE)
      .toBeGreaterThan(first)
    const numbers = (await lines())
      .trim()
      .split('\n')
      .map((line) => Number(line.replace('line ', '')))
    expect(numbers).toEqual(numbers.map((_, index) => index + 1))
  })

  test('that are wanted no more while their agent is away are removed by the next one', async () => {
    await killAgent(world)
    await world.want((desired) => {
      desired.pods = desired.pods.filter(({ metadata }) => metadata.name !== 'refused')
      desired.pods = desired.pods.filter(({ metadata }) => metadata.name !== 'private')
    })
    world.startAgent()
    const names = async (): Promise<unknown> => {
      const all = await engine.docker.listContainers({ all: true })
      return [...new Set(all.map(({ Labels }) => Labels['io.kubernetes.pod.name']))]
    }
    await expect.poll(names, PATIENCE).toEqual(['counts'])
  })

  test('that die with their engine are started again when it is back; until then it is unwell', async () => {
    const health = async (): Promise<number> =>
      (await fetch(`${world.agentUrl()}/healthz`).catch(() => undefined))?.status ?? 0
    await expect.poll(health, PATIENCE).toBe(200)
    await engine.kill()
    await expect.poll(health, PATIENCE).toBe(503)
    await engine.start()
    await expect.poll(health, PATIENCE).toBe(200)
    const restarts = (): number | undefined => {
      const status = statusOf(world, 'counts')
      return status?.ready ? status.restartCount : undefined
    }
    await expect.poll(restarts, PATIENCE).toBe(1)
    expect(await logsOf(world, 'counts', 'previous=true')).toMatch(/^line 1\n/)
  })

  test('are started again after a power cut, without the control plane', async () => {
    world.outage.status = 503
    await engine.cutPower()
    await engine.start()
    world.startAgent()
    const running = async (): Promise<number> =>
      (
        await engine.docker.listContainers({
          filters: { label: ['io.kubernetes.pod.name=counts'] },
        })
      ).length
    await expect.poll(running, PATIENCE).toBe(2)
    world.outage.status = 0
    const restarts = (): number | undefined => statusOf(world, 'counts')?.restartCount
    await expect.poll(restarts, PATIENCE).toBe(2)
  })
})

async function killAgent(world: World): Promise<void> {
  const agent = world.agents.at(-1)
  if (!agent) throw new Error('no agent')
  const ended = once(agent, 'exit')
  const pid = childOf(agent.pid)
  if (pid > 1) process.kill(pid, 'SIGKILL')
  await ended
}

/** Runs a command in a terminal of 111 × 33 that was another size before. */
async function terminal(
  world: World,
  pod: string,
  command: string[],
): Promise<{ text: string; status: string }> {
  const query = command.map((each) => `command=${encodeURIComponent(each)}`).join('&')
  const url = world.agentUrl().replace('http', 'ws')
  const client = new WebSocket(
    `${url}/exec/default/${pod}/box?${query}&stdin=1&stdout=1&tty=1`,
    'v5.channel.k8s.io',
    { headers: { authorization: 'Bearer agent-token' } },
  )
  const said = { text: '', status: '' }
  const send = (channel: number, text: string): void => {
    client.send(Buffer.concat([Buffer.of(channel), Buffer.from(text)]))
  }
  client.on('open', () => send(4, '{"Width":80,"Height":24}'))
  let hasTyped = false
  client.on('message', (data: Buffer) => {
    const text = data.subarray(1).toString()
    if (data[0] === 1) said.text += text
    if (data[0] === 3) said.status += text
    if (!said.text.includes('/dev/pts') || hasTyped) return
    hasTyped = true
    send(4, '{"Width":111,"Height":33}')
    // The engine is told of the size by another way than of what is typed.
    setTimeout(() => send(0, 'go\n'), 1000)
  })
  await once(client, 'close')
  return said
}
