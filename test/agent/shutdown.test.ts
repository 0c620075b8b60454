// The real agent when its VM is told to shut down: it says so, fails its health check, and serves until
// its pods have left.

import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Service } from '#shared/api/service.ts'
import { createWorld, eventually, podOf, type World } from './world.ts'

const WEB = `
import { createServer } from 'node:http'
createServer((request, response) => response.end('served\\n'))
  .listen(Number(process.env.PORT), process.env.HOST)
process.on('SIGTERM', () => process.exit(0))
`
const SERVICE: Service = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default', uid: 'uid-web', creationTimestamp: '' },
  spec: {
    type: 'LoadBalancer',
    clusterIP: '34.118.0.1',
    selector: { run: 'web' },
    ports: [{ port: 80 }],
  },
  status: { loadBalancer: { ingress: [{ ip: '127.0.1.1' }] } },
}

let world: World

beforeAll(async () => {
  world = await createWorld()
  world.image('web', WEB)
})
afterAll(() => world?.close())

test('says that it goes, is unwell, and ends when its pods have left', async () => {
  const agent = world.startAgent()
  await eventually('a Node', () => world.reports.some(({ node }) => node), 55_000)
  const pod = podOf('web', {
    containers: [{ name: 'web', image: 'test/web', ports: [{ containerPort: 8080 }] }],
  })
  await world.want((desired) => {
    desired.pods.push(pod)
    desired.services.push(SERVICE)
  })
  await eventually('a running pod', () => world.status('web')?.phase === 'Running')
  const address = (): string | undefined =>
    world.vpc.lookup(`${world.status('web')?.podIP}:8080/tcp`)
  const page = async (): Promise<string> => {
    const response = await fetch(`http://${address()}`, { headers: { connection: 'close' } })
    return response.text()
  }
  // Running is not listening yet: it has no readiness probe.
  await expect.poll(() => page().catch(String), { timeout: 20_000 }).toBe('served\n')
  expect((await world.ask('/healthz')).status).toBe(200)

  const startedAt = Date.now()
  agent.kill('SIGTERM')
  const ended = once(agent, 'exit')
  await eventually('word of it', () =>
    world.reports
      .flatMap(({ node }) => node?.status?.conditions ?? [])
      .some(({ type, status, message }) => {
        return type === 'Ready' && status === 'False' && message === 'node is shutting down'
      }),
  )
  const health = await world.ask('/healthz')
  expect([health.status, await health.text()]).toEqual([503, 'node is shutting down\n'])
  expect(await page()).toBe('served\n')

  await world.want(({ pods: [first] }) => {
    if (!first) throw new Error('no pod')
    first.metadata = { ...first.metadata, deletionTimestamp: '2026-11-22T00:00:30Z' }
  })
  await eventually('the pod has gone', () => world.isGone('web'))
  expect(await ended).toEqual([0, null])
  // Load balancers were given time to forget it.
  expect(Date.now() - startedAt).toBeGreaterThanOrEqual(5000)
})
