import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Container, Probe } from '#shared/api/pod.ts'
import type { Exec } from '../runtime/runtime.ts'
import { check } from './check.ts'
import type { CheckTarget } from './check.ts'
import { startProbes } from './prober.ts'

/** A target whose commands end with the codes of `results`, one after the other. */
function target(results: readonly number[] = [], ports = new Map<number, number>()): CheckTarget {
  const left = [...results]
  return {
    podIP: '10.4.1.2',
    locate: (port) => {
      const at = ports.get(port)
      return at === undefined ? undefined : { host: '127.0.0.1', port: at }
    },
    portNumber: (port) => (typeof port === 'number' ? port : undefined),
    exec: (): Exec => ({
      stdin: new PassThrough(),
      stdout: new PassThrough(),
      stderr: new PassThrough(),
      ended: Promise.resolve(left.shift() ?? 0),
      kill: () => undefined,
      resize: () => undefined,
    }),
  }
}

describe('probing', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
  afterEach(() => void vi.useRealTimers())

  function run(probes: Partial<Container>, results: readonly number[]): { said: string[] } {
    const said: string[] = []
    const begun = performance.now()
    const say = (text: string): void =>
      void said.push(`${Math.round((performance.now() - begun) / 1000)} s: ${text}`)
    startProbes({ name: 'web', ...probes }, target(results), {
      onStarted: () => say('started'),
      onReady: (isReady) => say(isReady ? 'ready' : 'not ready'),
      onDead: (kind) => say(`dead (${kind})`),
      onFailure: (message) => say(message),
      onSettled: () => undefined,
    })
    return { said }
  }
  const exec = (more: Partial<Probe>): Probe => ({ exec: { command: ['x'] }, ...more })

  test('initial delay, period and thresholds are kept to the second', async () => {
    const probe = exec({ initialDelaySeconds: 2, periodSeconds: 3, failureThreshold: 2 })
    const { said } = run({ livenessProbe: probe }, [0, 1, 0, 1, 1])
    await vi.advanceTimersByTimeAsync(20_000)
    expect(said).toEqual([
      '0 s: started',
      '5 s: Liveness probe failed: ',
      '11 s: Liveness probe failed: ',
      '14 s: Liveness probe failed: ',
      '14 s: dead (liveness)',
    ])
  })

  test('readiness waits for the startup probe', async () => {
    const startupProbe = exec({ periodSeconds: 2, failureThreshold: 5 })
    const readinessProbe = exec({ periodSeconds: 1 })
    const { said } = run({ startupProbe, readinessProbe }, [1, 1, 0, 0])
    await vi.advanceTimersByTimeAsync(4000)
    expect(said).toEqual([
      '0 s: Startup probe failed: ',
      '2 s: Startup probe failed: ',
      '4 s: started',
      '4 s: ready',
    ])
  })

  test('a startup that never succeeds is the end', async () => {
    const { said } = run({ startupProbe: exec({ periodSeconds: 1, failureThreshold: 2 }) }, [1, 1])
    await vi.advanceTimersByTimeAsync(5000)
    expect(said.at(-1)).toBe('1 s: dead (startup)')
  })
})

describe('a check', () => {
  test('of http: the code decides, and a refused connection is said as Go says it', async () => {
    const server = createServer((request, response) => {
      response.statusCode = Number(request.url?.slice(1))
      response.end(request.headers['user-agent'])
    })
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const to = target([], new Map([[8080, port]]))
    const get = (path: string, at = 8080) => check({ httpGet: { path, port: at } }, to, 1000)
    expect(await get('/204')).toEqual({ isGood: true, message: '' })
    expect(await get('/399')).toMatchObject({ isGood: true })
    expect(await get('/500')).toEqual({
      isGood: false,
      message: 'HTTP probe failed with statuscode: 500',
    })
    server.close()
    server.closeAllConnections()
    expect(await get('/204')).toEqual({
      isGood: false,
      isRefused: true,
      message:
        'Get "http://10.4.1.2:8080/204": dial tcp 10.4.1.2:8080: connect: connection refused',
    })
  })

  test('that takes too long has failed', async () => {
    const server = createServer(() => undefined)
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const to = target([], new Map([[8080, port]]))
    const result = await check({ httpGet: { port: 8080 } }, to, 50)
    expect(result.message).toContain('context deadline exceeded')
    expect(await check({ tcpSocket: { port: 8080 } }, to, 1000)).toMatchObject({ isGood: true })
    server.closeAllConnections()
    server.close()
  })
})
