// The real agent as a child process in a small world: what it starts, probes, restarts, kills, reports.

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { ANSWERED_ANNOTATION, ASKED_ANNOTATION } from '#shared/api/node.ts'
import type { Container } from '#shared/api/pod.ts'
import { createWorld, eventually, NODE, podOf, type World } from './world.ts'

const WEB = `
import { createServer } from 'node:http'
let ready = true
const hold = []
const server = createServer((request, response) => {
  if (request.url === '/crash') process.exit(3)
  if (request.url === '/sick') ready = false
  if (request.url === '/eat') {
    const timer = setInterval(() => hold.push(Buffer.alloc(8 << 20, 1)), 20)
    timer.ref()
  }
  if (request.url === '/env') return response.end(JSON.stringify(process.env))
  response.statusCode = request.url === '/healthz' && !ready ? 500 : 200
  response.end(process.env.HOSTNAME)
})
server.listen(Number(process.env.PORT), process.env.HOST, () => console.log('listening'))
process.on('SIGTERM', () => {
  console.log('asked to stop')
  if (process.env.STUBBORN) return
  server.close(() => process.exit(0))
  server.closeAllConnections()
})
`

function web(more: Partial<Container> = {}): Container {
  return {
    name: 'web',
    image: 'test/web',
    imagePullPolicy: 'IfNotPresent',
    ports: [{ containerPort: 8080 }],
    readinessProbe: { httpGet: { path: '/healthz', port: 8080 }, periodSeconds: 1 },
    ...more,
  }
}

describe('the agent', () => {
  let world: World

  beforeAll(async () => {
    world = await createWorld()
    world.image('web', WEB)
    world.startAgent()
    await eventually('a Node', () => world.reports.some(({ node }) => node), 55_000)
  })
  afterAll(() => world.close())

  const start = async (name: string, container: Container, spec = {}): Promise<void> => {
    const pod = podOf(name, { containers: [container], ...spec })
    await world.want(({ pods }) => void pods.push(pod))
  }
  const isReady = (name: string): boolean =>
    world
      .status(name)
      ?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
  const urlOf = (name: string): string =>
    `http://${world.vpc.lookup(`${world.status(name)?.podIP}:8080/tcp`)}`
  const stop = async (name: string, graceSeconds: number): Promise<void> => {
    await world.want(({ pods }) => {
      const pod = pods.find(({ metadata }) => metadata.name === name)
      if (!pod) throw new Error(`no pod ${name}`)
      pod.metadata.deletionTimestamp = new Date().toISOString()
      pod.metadata.deletionGracePeriodSeconds = graceSeconds
    })
    await eventually(`${name} gone`, () => world.isGone(name))
  }

  test('registers a Node like one of GKE', () => {
    const node = world.reports.find((report) => report.node)?.node
    expect(node?.metadata.name).toBe(NODE)
    expect(node?.metadata.labels).toMatchObject({
      'cloud.google.com/gke-nodepool': 'default-pool',
      'topology.kubernetes.io/region': 'us-central1',
      'node.kubernetes.io/instance-type': 'e2-medium',
    })
    expect(node?.spec.providerID).toBe(`gce://test/us-central1-a/${NODE}`)
    expect(node?.status?.allocatable?.['cpu']).toBe('940m')
  })

  test('says that it lives when it is asked', async () => {
    const question = '2026-11-22T12:00:00.000000Z'
    await world.want(({ node }) => {
      if (!node) throw new Error('no Node')
      node.metadata.annotations = { ...node.metadata.annotations, [ASKED_ANNOTATION]: question }
    })
    await eventually('an answer', () =>
      world.reports.some(
        ({ node }) => node?.metadata.annotations?.[ANSWERED_ANNOTATION] === question,
      ),
    )
  })

  test('a pod that starts and becomes ready at once is one report', async () => {
    const startedAt = Date.now()
    await start('one', web())
    await eventually('ready', () => isReady('one'))
    // News wait for a second at most: on a machine where a start takes longer there is one a second.
    const seconds = Math.floor((Date.now() - startedAt) / 1000)
    const response = await fetch(urlOf('one'))
    expect(await response.text()).toBe('one')
    expect(world.reportsOf('one')).toBeLessThanOrEqual(1 + seconds)
    expect(world.status('one')?.phase).toBe('Running')
    expect(world.events('Started')).toContain('Started container web')
    await stop('one', 5)
    expect(world.vpc.lookup(`${world.status('one')?.podIP}:8080/tcp`)).toBeUndefined()
  })

  test('a crash is restarted at once and counted; the second one waits', async () => {
    await start('crashes', web())
    await eventually('ready', () => isReady('crashes'))
    await fetch(`${urlOf('crashes')}/crash`).catch(() => undefined)
    const status = await eventually('a restart', () => {
      const container = world.status('crashes')?.containerStatuses?.[0]
      return container?.restartCount === 1 && container.ready && container
    })
    expect(status.lastState?.terminated).toMatchObject({ exitCode: 3, reason: 'Error' })
    const previous = await world.ask('/containerLogs/default/crashes/web?previous=true')
    expect(await previous.text()).toBe('listening\n')
    await fetch(`${urlOf('crashes')}/crash`).catch(() => undefined)
    const waiting = await eventually('a back-off', () => {
      const state = world.status('crashes')?.containerStatuses?.[0]?.state
      return state?.waiting?.reason === 'CrashLoopBackOff' && state.waiting
    })
    expect(waiting.message).toMatch(
      /^back-off 10s restarting failed container=web pod=crashes_default/,
    )
    // What waits to be started again has the run that ended behind it.
    const ended = await world.ask('/containerLogs/default/crashes/web?previous=true')
    expect(await ended.text()).toBe('listening\n')
    const words = world.reports
      .flatMap(({ pods = [] }) => pods)
      .filter(({ name }) => name === 'crashes')
      .flatMap(({ lastWords }) => lastWords?.['web'] ?? [])
    expect(words.length).toBe(2)
    expect(words[0]).toMatchObject({
      containerID: status.lastState?.terminated?.containerID,
      exitCode: 3,
      reason: 'Error',
    })
    expect(words[0]?.log).toMatch(/^\S+Z stdout F listening\n$/)
    await stop('crashes', 0)
  })

  test('a container over its memory limit is OOMKilled', async () => {
    await start('greedy', web({ resources: { limits: { memory: '100Mi' } } }))
    await eventually('ready', () => isReady('greedy'))
    await fetch(`${urlOf('greedy')}/eat`)
    const ended = await eventually('an end', () => {
      return world.status('greedy')?.containerStatuses?.[0]?.lastState?.terminated
    })
    expect(ended).toMatchObject({ reason: 'OOMKilled', exitCode: 137 })
    await stop('greedy', 0)
  })

  test('a failing readiness probe takes readiness away, and the event says why', async () => {
    await start('sick', web())
    await eventually('ready', () => isReady('sick'))
    await fetch(`${urlOf('sick')}/sick`)
    await eventually('not ready', () => !isReady('sick'))
    expect(world.status('sick')?.phase).toBe('Running')
    await eventually('an event', () => world.events('Unhealthy').length > 0)
    expect(world.events('Unhealthy')).toContain(
      'Readiness probe failed: HTTP probe failed with statuscode: 500',
    )
    await stop('sick', 5)
  })

  test('a container that will not stop is killed when its grace is over', async () => {
    await start('stubborn', web({ env: [{ name: 'STUBBORN', value: '1' }] }))
    await eventually('ready', () => isReady('stubborn'))
    const begun = Date.now()
    await stop('stubborn', 1)
    expect(Date.now() - begun).toBeGreaterThan(950)
    expect(world.status('stubborn')?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(137)
  })

  test('an image that is not there: ErrImagePull, then ImagePullBackOff', async () => {
    await start('imageless', web({ image: 'test/nowhere' }))
    const reason = (): string | undefined =>
      world.status('imageless')?.containerStatuses?.[0]?.state?.waiting?.reason
    await eventually('ErrImagePull', () => reason() === 'ErrImagePull')
    await eventually('ImagePullBackOff', () => reason() === 'ImagePullBackOff')
    expect(world.status('imageless')?.phase).toBe('Pending')
    await stop('imageless', 0)
  })

  test('configuration arrives: variables, files of a volume, and a late ConfigMap', async () => {
    const container = web({
      env: [
        { name: 'GREETING', valueFrom: { configMapKeyRef: { name: 'settings', key: 'greeting' } } },
        { name: 'WHOLE', value: '$(GREETING), $(POD)!' },
        { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      ],
      volumeMounts: [{ name: 'files', mountPath: '/etc/wherry-test/files' }],
    })
    await start('configured', container, {
      volumes: [{ name: 'files', secret: { secretName: 'keys' } }],
    })
    await eventually('FailedMount', () => world.events('FailedMount').length > 0)
    expect(world.events('FailedMount')[0]).toBe(
      'MountVolume.SetUp failed for volume "files" : secret "keys" not found',
    )
    const meta = (name: string) => ({
      apiVersion: 'v1',
      metadata: {
        name,
        namespace: 'default',
        uid: name,
        creationTimestamp: '',
        resourceVersion: '1',
      },
    })
    await world.want(({ secrets }) => {
      const data = { password: Buffer.from('open sesame').toString('base64') }
      secrets.push({ ...meta('keys'), kind: 'Secret', data })
    })
    await eventually('CreateContainerConfigError', () => {
      const waiting = world.status('configured')?.containerStatuses?.[0]?.state?.waiting
      return (
        waiting?.reason === 'CreateContainerConfigError' &&
        waiting.message === 'configmap "settings" not found'
      )
    })
    await world.want(({ configMaps }) => {
      configMaps.push({ ...meta('settings'), kind: 'ConfigMap', data: { greeting: 'hello' } })
    })
    await eventually('ready', () => isReady('configured'))
    const env: Record<string, string> = JSON.parse(
      await (await fetch(`${urlOf('configured')}/env`)).text(),
    )
    // $(POD) comes later in the list, so it is not known yet, as in Kubernetes.
    expect(env).toMatchObject({
      WHOLE: 'hello, $(POD)!',
      POD: 'configured',
      HOSTNAME: 'configured',
    })
    const shown = await exec('configured', ['cat', '/etc/wherry-test/files/password'])
    expect(shown).toEqual({ stdout: 'open sesame', code: 0 })
    expect(() => readFileSync('/etc/wherry-test/files/password')).toThrow('ENOENT')
    await stop('configured', 5)
  })

  test('logs are followed until the container ends; exec tells the exit code', async () => {
    await start('talks', web())
    await eventually('ready', () => isReady('talks'))
    expect(await exec('talks', ['sh', '-c', 'echo out; exit 7'])).toEqual({
      stdout: 'out\n',
      code: 7,
    })
    const following = await world.ask('/containerLogs/default/talks/web?follow=true')
    const text = following.text()
    await stop('talks', 5)
    expect(await text).toBe('listening\nasked to stop\n')
    expect((await world.ask('/containerLogs/default/talks/web', 'wrong')).status).toBe(401)
    expect((await fetch(`${world.agentUrl()}/healthz`)).status).toBe(200)
  })

  test('a Service spreads over ready pods and passes over one that is gone', async () => {
    await start('a', web())
    await start('b', web())
    await eventually('both ready', () => isReady('a') && isReady('b'))
    const ips = ['a', 'b'].map((name) => world.status(name)?.podIP ?? '')
    await world.want(({ services, endpointSlices }) => {
      const metadata = {
        namespace: 'default',
        uid: 's',
        creationTimestamp: '',
        resourceVersion: '1',
      }
      services.push({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { ...metadata, name: 'web' },
        spec: {
          type: 'LoadBalancer',
          clusterIP: '10.8.0.9',
          ports: [{ port: 80, targetPort: 8080 }],
        },
        status: { loadBalancer: { ingress: [{ ip: '127.0.1.1' }] } },
      })
      endpointSlices.push({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { ...metadata, name: 'web-1', labels: { 'kubernetes.io/service-name': 'web' } },
        addressType: 'IPv4',
        ports: [{ port: 8080 }],
        // The third is an address where nothing is.
        endpoints: [...ips, '10.4.9.9'].map((ip) => ({
          addresses: [ip],
          conditions: { ready: true },
        })),
      })
    })
    const route = await eventually('a route', () => world.vpc.lookup('10.128.0.5>127.0.1.1:80/tcp'))
    expect(world.vpc.lookup('10.128.0.5>10.8.0.9:80/tcp')).toBe(route)
    const get = async (): Promise<string> =>
      (await fetch(`http://${route}`, { headers: { connection: 'close' } })).text()
    const seen = new Set<string>()
    for (let index = 0; index < 12; index++) seen.add(await get())
    expect([...seen].sort()).toEqual(['a', 'b'])
    await stop('a', 5)
    for (let index = 0; index < 6; index++) expect(await get()).toBe('b')
  })

  test('pods go on while the control plane is away; its news come when it is back', async () => {
    await start('island', web())
    await eventually('ready', () => isReady('island'))
    world.outage.status = 503
    await fetch(`${urlOf('island')}/crash`).catch(() => undefined)
    await eventually(
      'served again',
      async () => (await fetch(urlOf('island')).catch(() => undefined))?.ok,
    )
    expect(world.status('island')?.containerStatuses?.[0]?.restartCount).toBe(0)
    world.outage.status = 0
    await eventually('the restart is told', () => {
      return world.status('island')?.containerStatuses?.[0]?.restartCount === 1
    })
  })

  const PATIENT = { timeout: 90_000 }
  test(
    'a power cut leaves no process; after it the pods run again and are counted',
    PATIENT,
    async () => {
      await start('lamp', web())
      await eventually('ready', () => isReady('lamp'))
      expect(world.containers().length).toBeGreaterThan(0)
      await powerCut(world)
      await eventually('no process', () => world.containers().length === 0)
      world.startAgent()
      await eventually(
        'running again',
        () => {
          const container = world.status('lamp')?.containerStatuses?.[0]
          return container?.restartCount === 1 && container.ready
        },
        55_000,
      )
      expect(world.status('lamp')?.containerStatuses?.[0]?.lastState?.terminated?.exitCode).toBe(
        255,
      )
    },
  )

  async function exec(pod: string, command: string[]): Promise<{ stdout: string; code: number }> {
    const query = command.map((each) => `command=${encodeURIComponent(each)}`).join('&')
    const url = `${world.agentUrl().replace('http', 'ws')}/exec/default/${pod}/web?${query}&stdout=1&stderr=1`
    const client = new WebSocket(url, 'v5.channel.k8s.io', {
      headers: { authorization: 'Bearer agent-token' },
    })
    let stdout = ''
    let code = -1
    client.on('message', (data: Buffer) => {
      if (data[0] === 1) stdout += data.subarray(1).toString()
      if (data[0] !== 3) return
      const status: { status: string; details?: { causes: { message: string }[] } } = JSON.parse(
        data.subarray(1).toString(),
      )
      code = status.status === 'Success' ? 0 : Number(status.details?.causes[0]?.message)
    })
    await once(client, 'close')
    return { stdout, code }
  }
})

async function powerCut(world: World): Promise<void> {
  const agent = world.agents.at(-1)
  if (!agent) throw new Error('no agent')
  const ended = once(agent, 'exit')
  agent.stdin?.destroy()
  await ended
}
