import { createServer, type Server } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { NodeReport } from '#shared/api/agent-wire.ts'
import { WORDS_PODS_MAX, type LastWords } from '#shared/api/last-words.ts'
import type { ContainerStatus, Pod, PodSpec, PodStatus } from '#shared/api/pod.ts'
import {
  CLUSTER,
  createTestApi,
  NOBODY_TOKEN,
  NODE,
  NODE_TOKEN,
  seededMeta,
  type TestApi,
} from '#test/api.ts'

let api: TestApi
let agent: Server
let requests: { url: string; authorization: string | undefined }[]
let respond: (url: string) => { status: number; text: string }

beforeEach(async () => {
  requests = []
  respond = () => ({ status: 200, text: 'hello\n' })
  agent = createServer((request, response) => {
    requests.push({ url: request.url ?? '', authorization: request.headers.authorization })
    const { status, text } = respond(request.url ?? '')
    response.writeHead(status).end(text)
  })
  await new Promise<void>((resolve) => agent.listen(0, '127.0.0.1', resolve))
  const address = agent.address()
  const port = typeof address === 'object' ? address?.port : undefined
  api = await createTestApi({
    agentEndpoint: async (cluster, node) =>
      node === NODE ? { url: `http://127.0.0.1:${port}`, token: `${cluster}-secret` } : undefined,
  })
})
afterEach(async () => {
  await api.close()
  await new Promise((resolve) => agent.close(resolve))
})

function podNamed(name: string, spec: Partial<PodSpec>): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: seededMeta(name, 'default'),
    spec: { nodeName: NODE, containers: [{ name: 'a' }], ...spec },
  }
}

async function seed(name: string, spec: Partial<PodSpec>): Promise<void> {
  await api.seed(['pods', podNamed(name, spec)])
}

const log = (name: string, query = '') =>
  api.call('GET', `/api/v1/namespaces/default/pods/${name}/log${query}`)

describe('logs', () => {
  it('come from the agent of the node', async () => {
    await seed('p', {})
    const { status, text, headers } = await log('p', '?tailLines=5&timestamps=true&pretty=true')
    expect([status, text, headers.get('content-type')]).toEqual([200, 'hello\n', 'text/plain'])
    expect(requests).toEqual([
      {
        url: '/containerLogs/default/p/a?timestamps=true&tailLines=5',
        authorization: 'Bearer test-secret',
      },
    ])
  })

  it.each<[string, Partial<PodSpec>, string, string]>([
    [
      'several containers',
      { containers: [{ name: 'a' }, { name: 'b' }] },
      '',
      'a container name must be specified for pod p, choose one of: [a b]',
    ],
    [
      'init containers',
      { containers: [{ name: 'a' }], initContainers: [{ name: 'i' }] },
      '',
      'a container name must be specified for pod p, choose one of: [a] or one of the init containers: [i]',
    ],
    ['a container that is not there', {}, '?container=z', 'container z is not valid for pod p'],
    [
      'a number that is none',
      {},
      '?tailLines=x',
      'tailLines: Invalid value: "x": must be a number',
    ],
  ])('are refused for %s', async (_, spec, query, message) => {
    await seed('p', spec)
    const { status, body } = await log('p', query)
    expect([status, body['message']]).toEqual([400, message])
  })

  it('say in the agent’s words what is not there', async () => {
    await seed('p', {})
    respond = () => ({
      status: 400,
      text: 'previous terminated container "a" in pod "p" not found\n',
    })
    const { status, body } = await log('p', '?previous=true')
    expect([status, body['message']]).toEqual([
      400,
      'previous terminated container "a" in pod "p" not found',
    ])
  })

  it('are empty before there is a node, and unavailable when the node is away', async () => {
    await seed('waiting', { nodeName: '' })
    expect(await log('waiting')).toMatchObject({ status: 200, text: '' })
    await seed('lost', { nodeName: 'vm-2' })
    const { status, body } = await log('lost')
    expect([status, body['message']]).toEqual([
      503,
      'the agent of node "vm-2" cannot be asked: its agent is not known',
    ])
    expect((await log('none')).body['message']).toBe('pods "none" not found')
  })
})

describe('last words', () => {
  const LOG = [
    '2026-11-22T11:59:00.000000000Z stdout F one',
    '2026-11-22T11:59:58.000000000Z stderr F two',
    '2026-11-22T11:59:59.000000000Z stdout F three',
    '',
  ].join('\n')

  interface Said {
    id?: string
    exitCode?: number
    log?: string
  }

  /** The agent tells that container a ended in run `id`. */
  async function tell(name: string, status: PodStatus, said: Said = {}): Promise<void> {
    const { id = 'run-1', exitCode = 137, log: text = LOG } = said
    const words = { containerID: id, exitCode, reason: 'OOMKilled', log: text }
    const news: NodeReport = {
      pods: [
        {
          namespace: 'default',
          name,
          uid: `uid-default-${name}`,
          status,
          lastWords: { a: words, other: words },
        },
      ],
    }
    const path = `/apis/agent.wherry.dev/v1/nodes/${NODE}/report`
    const answer = await api.call('POST', path, { body: news, token: NODE_TOKEN })
    expect(answer.status, answer.text).toBe(200)
  }

  const run = (id: string) => ({
    terminated: { containerID: id, exitCode: 137, reason: 'OOMKilled' },
  })
  const container = (more: Partial<ContainerStatus>): PodStatus => ({
    phase: 'Running',
    containerStatuses: [
      { name: 'a', image: 'x', imageID: 'x', ready: false, restartCount: 1, ...more },
    ],
  })
  const RESTARTED = container({
    containerID: 'run-2',
    state: { running: {} },
    lastState: run('run-1'),
  })
  const WAITING = container({
    containerID: 'run-1',
    state: { waiting: { reason: 'CrashLoopBackOff' } },
    lastState: run('run-1'),
  })
  const ENDED = container({ containerID: 'run-1', state: run('run-1'), lastState: {} })
  const words = (text: string) => ({ status: 200, text })

  beforeEach(async () => {
    await seed('p', {})
    respond = () => ({ status: 500, text: 'the runtime is away' })
  })

  it.each<[string, PodStatus, string, string | undefined]>([
    ['a container that runs again', RESTARTED, '?previous=true', 'one\ntwo\nthree\n'],
    ['its present run, which is another', RESTARTED, '', undefined],
    ['a container that waits', WAITING, '', 'one\ntwo\nthree\n'],
    ['what is behind one that waits', WAITING, '?previous=true', 'one\ntwo\nthree\n'],
    ['a container that ended for good', ENDED, '', 'one\ntwo\nthree\n'],
    ['what is behind one that never ran before', ENDED, '?previous=true', undefined],
    ['the last lines', ENDED, '?tailLines=1', 'three\n'],
    ['no lines', ENDED, '?tailLines=0', ''],
    ['the last seconds', ENDED, '?sinceSeconds=5', 'two\nthree\n'],
    ['since a time', ENDED, '?sinceTime=2026-11-22T11:59:59Z', 'three\n'],
    ['so many bytes', ENDED, '?limitBytes=5', 'one\nt'],
    ['time stamps', ENDED, '?timestamps=1&tailLines=1', '2026-11-22T11:59:59.000000000Z three\n'],
  ])('stand in for %s when the agent cannot be asked', async (_, status, query, expected) => {
    await tell('p', status)
    const answer = await log('p', query)
    if (expected === undefined) {
      expect(answer.status).toBe(503)
      return
    }
    expect(answer).toMatchObject(words(expected))
    expect(answer.headers.get('warning')).toBe(
      '299 - "the agent of node \\"vm-1\\" cannot be asked: the runtime is away: these are the last words of a container that ended with exit code 137 (OOMKilled)"',
    )
  })

  it('stand in for a log that the agent does not have any more, and for no log that it has', async () => {
    await tell('p', RESTARTED)
    respond = () => ({
      status: 400,
      text: 'previous terminated container "a" in pod "p" not found',
    })
    expect(await log('p', '?previous=true')).toMatchObject(words('one\ntwo\nthree\n'))
    respond = () => ({ status: 200, text: 'all of it\n' })
    expect(await log('p', '?previous=true')).toMatchObject(words('all of it\n'))
  })

  it('outlive their pod, and are another pod’s of that name as what was before it', async () => {
    await tell('p', RESTARTED)
    const remove = (name: string) =>
      api.call('DELETE', `/api/v1/namespaces/default/pods/${name}?gracePeriodSeconds=0`)
    expect((await remove('p')).status).toBe(200)
    expect(await log('p')).toMatchObject(words('one\ntwo\nthree\n'))
    expect((await log('p', '?container=b')).status).toBe(404)
    const next = podNamed('p', {})
    next.metadata.uid = 'new'
    await api.seed(['pods', next])
    expect((await log('p')).status).toBe(503)
    expect(await log('p', '?previous=true')).toMatchObject(words('one\ntwo\nthree\n'))
  })

  it('are for those who may read logs, and in nothing else that the API shows', async () => {
    await tell('p', ENDED)
    const token = NOBODY_TOKEN
    const path = '/api/v1/namespaces/default/pods/p/log'
    expect((await api.call('GET', path, { token })).status).toBe(403)
    const listed = await Promise.all(
      ['pods/p', 'pods/p/status', 'events', 'pods'].map((what) =>
        api.call('GET', `/api/v1/namespaces/default/${what}`),
      ),
    )
    expect(listed.filter(({ text }) => text.includes('three'))).toEqual([])
    const raw = '/apis/container.wherry.dev/v1/namespaces/default/lastwords'
    expect((await api.call('GET', raw)).status).toBe(404)
  })

  it('ride in the commit of the report, are cut to size, and only of the pod’s own containers', async () => {
    const before = api.view.current.version
    await tell('p', ENDED, { log: `${'x'.repeat(99)}\n`.repeat(1000) })
    const { revisions } = await api.store.revisions(CLUSTER, before)
    expect(revisions.map(({ changes }) => changes.map(({ key }) => key))).toEqual([
      ['pods/default/p', 'lastwords.container.wherry.dev/default/p'],
    ])
    const kept = api.view.current.get('lastwords.container.wherry.dev/default/p') as LastWords
    expect(Object.keys(kept.containers)).toEqual(['a'])
    expect(kept.containers['a']?.log.length).toBeLessThanOrEqual(32 * 1024)
    expect(kept.containers['a']?.log.length).toBeGreaterThan(31 * 1024)
  })

  it('of the pod that ended first make room', async () => {
    const names = Array.from({ length: WORDS_PODS_MAX + 2 }, (_, index) => `p-${index}`)
    for (const name of names) {
      await seed(name, {})
      await tell(name, ENDED)
      await api.clock.advance(1000)
    }
    const kept = api.view.current.list('lastwords.container.wherry.dev', 'default')
    expect(kept.length).toBe(WORDS_PODS_MAX)
    expect(kept.map(({ metadata }) => metadata.name)).not.toContain('p-1')
    expect(kept.map(({ metadata }) => metadata.name)).toContain('p-2')
  })
})
