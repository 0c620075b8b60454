import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { NodeReport, ReportAnswer } from '#shared/api/agent-wire.ts'
import type { Pod, PodStatus } from '#shared/api/pod.ts'
import type { PodNews } from '../pods/node-context.ts'
import { ApiError } from './api-client.ts'
import { createEventGate } from './event-gate.ts'
import { Reporter } from './reporter.ts'

const LOG = { info: () => undefined, warn: () => undefined, error: () => undefined }

function news(name: string, phase: PodStatus['phase'], more: Partial<PodNews> = {}): PodNews {
  const status = phase ? { phase } : {}
  return {
    namespace: 'default',
    name,
    uid: name,
    status,
    isGone: false,
    isSettling: false,
    ...more,
  }
}

describe('the reporter', () => {
  let sent: NodeReport[]
  let answers: (ReportAnswer | Error)[]
  let unknown: string[]
  let reporter: Reporter
  const stop = new AbortController()

  beforeEach(() => {
    vi.useFakeTimers()
    sent = []
    answers = []
    unknown = []
    reporter = new Reporter({
      send: async (report) => {
        const answer = answers.shift() ?? { version: '2', unknown: [] }
        if (answer instanceof Error) throw answer
        sent.push(report)
        return answer
      },
      log: LOG,
      signal: stop.signal,
      now: () => Date.now(),
      onUnknown: (pods) => unknown.push(...pods.map(({ name }) => name)),
    })
  })
  afterEach(() => void vi.useRealTimers())
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
  const phases = () =>
    sent.map(({ pods }) => pods?.map(({ name, status }) => `${name} ${status.phase}`))

  test('a burst is one report with the last news of each pod', async () => {
    reporter.tellPod(news('a', 'Pending'))
    reporter.tellPod(news('b', 'Pending'))
    await pass(50)
    reporter.tellPod(news('a', 'Running'))
    await pass(100)
    expect(phases()).toEqual([['a Running', 'b Pending']])
  })

  test('what was told is not told again', async () => {
    reporter.tellPod(news('a', 'Running'))
    await pass(200)
    reporter.tellPod(news('a', 'Running'))
    await pass(2000)
    expect(sent).toHaveLength(1)
  })

  test('a pod that settles waits, and not longer than a second; events go with it', async () => {
    reporter.tellPod(news('a', 'Pending', { isSettling: true }))
    const pod = { namespace: 'default', name: 'a', uid: 'a' }
    reporter.tellEvent({ pod, type: 'Normal', reason: 'Started', message: '' })
    await pass(900)
    expect(sent).toEqual([])
    reporter.tellPod(news('a', 'Running'))
    await pass(100)
    expect(sent).toHaveLength(1)
    expect(sent[0]).toMatchObject({ pods: [{ name: 'a' }], events: [{ reason: 'Started' }] })
    reporter.tellPod(news('b', 'Pending', { isSettling: true }))
    await pass(1001)
    expect(phases().at(-1)).toEqual(['b Pending'])
  })

  test('a pod that is ready is told at once, or with another that is about to be', async () => {
    const ready: Partial<PodNews> = {
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
    }
    reporter.tellPod(news('a', 'Running', ready))
    await pass(15)
    expect(phases()).toEqual([['a Running']])
    reporter.tellPod(news('b', 'Pending', { isSettling: true }))
    reporter.tellPod(news('c', 'Running', ready))
    await pass(50)
    reporter.tellPod(news('b', 'Running', ready))
    await pass(50)
    expect(phases()).toEqual([['a Running'], ['b Running', 'c Running']])
  })

  test('the API is asked again until it takes the news, with what is newest then', async () => {
    answers = [new ApiError(503, 'away', 1000), new Error('ECONNREFUSED')]
    reporter.tellPod(news('a', 'Pending'))
    await pass(200)
    reporter.tellPod(news('a', 'Running'))
    await pass(10_000)
    expect(phases()).toEqual([['a Pending'], ['a Running']])
  })

  test('news that goes back to what was told while a report is out is not lost', async () => {
    reporter.tellPod(news('a', 'Running'))
    await pass(200)
    answers = [new ApiError(503, 'away', 500)]
    reporter.tellPod(news('a', 'Pending'))
    await pass(100)
    reporter.tellPod(news('a', 'Running'))
    await pass(5000)
    expect(phases()).toEqual([['a Running'], ['a Pending'], ['a Running']])
  })

  test('a report that the API refuses is not sent for ever', async () => {
    answers = [new ApiError(422, 'no'), new ApiError(422, 'no')]
    reporter.tellPod(news('a', 'Running'))
    await pass(60_000)
    expect(answers).toHaveLength(1)
  })

  test('pods that are not ours are handed on, and a gone one is told once', async () => {
    answers = [{ version: '2', unknown: [{ namespace: 'default', name: 'a', uid: 'a' }] }]
    reporter.tellPod(news('a', 'Running'))
    await pass(200)
    expect(unknown).toEqual(['a'])
    reporter.tellPod(news('b', 'Succeeded', { isGone: true }))
    await pass(200)
    expect(reporter.isGoneTold('b')).toBe(true)
    reporter.tellPod(news('b', 'Succeeded', { isGone: true }))
    await pass(2000)
    expect(sent).toHaveLength(2)
  })

  const words = (text: string) => ({
    web: { containerID: 'process://1', exitCode: 1, reason: 'Error', log: text },
  })
  const told = () => sent.map(({ pods }) => pods?.map(({ name, lastWords }) => [name, lastWords]))

  test('last words go with the news of the end, also when more news came before it was told', async () => {
    reporter.tellPod(news('a', 'Running', { lastWords: words('bye') }))
    reporter.tellPod(news('a', 'Pending'))
    await pass(200)
    expect(told()).toEqual([[['a', words('bye')]]])
    reporter.tellPod(news('a', 'Running'))
    await pass(200)
    expect(told()[1]).toEqual([['a', undefined]])
  })

  test('last words that are too many for one report are told in the next', async () => {
    const much = words('\0'.repeat(40_000))
    for (const name of ['a', 'b', 'c']) {
      reporter.tellPod(news(name, 'Running', { lastWords: much }))
    }
    reporter.tellPod(news('d', 'Running'))
    await pass(200)
    expect(phases()).toEqual([['a Running', 'b Running', 'd Running'], ['c Running']])
  })

  test('a status that somebody else changed is told once more', async () => {
    reporter.tellPod(news('a', 'Running'))
    await pass(200)
    const stored = (phase: PodStatus['phase'], resourceVersion: string): Pod => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: 'a',
        namespace: 'default',
        uid: 'a',
        creationTimestamp: '',
        resourceVersion,
      },
      spec: { containers: [] },
      status: phase ? { phase } : {},
    })
    reporter.compare([stored('Running', '2')], '2')
    reporter.compare([stored('Unknown', '1')], '1')
    await pass(200)
    expect(sent).toHaveLength(1)
    reporter.compare([stored('Unknown', '3')], '3')
    await pass(200)
    expect(sent).toHaveLength(2)
    reporter.compare([stored('Unknown', '3')], '4')
    await pass(200)
    expect(sent).toHaveLength(2)
  })
})

test('equal warnings are let through at growing distances, other events always', () => {
  const gate = createEventGate()
  const warning = { type: 'Warning', reason: 'Unhealthy', message: 'x' } as const
  const times = Array.from({ length: 120 }, (_, second) => second).filter((second) =>
    gate.admit(warning, second * 1000),
  )
  expect(times).toEqual([0, 10, 30, 70])
  expect(gate.admit({ ...warning, message: 'y' }, 0)).toBe(true)
  const normal = { type: 'Normal', reason: 'Started', message: '' } as const
  expect([gate.admit(normal, 0), gate.admit(normal, 0)]).toEqual([true, true])
})
