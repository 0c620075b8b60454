// What happens when things die, on the whole local system: a container, a VM, the emulators' answers.
// A client asks for the page all the time; it must always be answered.

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { askApi, type ApiAnswer } from '../ask-api.ts'
import { eventually, startLocalWherry, type LocalWherry } from '../local-wherry.ts'
import { listProcesses, processTree } from '../processes.ts'
import { freeze } from '../support/freeze.ts'

const FROZEN_MS = 10_000
/** Fewer would show nothing. */
const ANSWERS_MIN = 30
/** One request, from its start to its end. */
const IN_FLIGHT_MS = 1000

let wherry: LocalWherry

beforeAll(async () => {
  wherry = await startLocalWherry()
}, 120_000)
afterAll(() => wherry?.dispose(), 60_000)

interface PodLine {
  name: string
  isReady: boolean
  restarts: number
  node: string
}

async function pods(): Promise<PodLine[]> {
  const text = await wherry.mustKubectl(
    `get pods -l run=web -o jsonpath='{range .items[*]}{.metadata.name} {.status.containerStatuses[0].ready} {.status.containerStatuses[0].restartCount} {.spec.nodeName} {.metadata.deletionTimestamp}{"\\n"}{end}'`,
  )
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(' '))
    .filter((cells) => !cells[4])
    .map(([name = '', ready, restarts, node = '']) => ({
      name,
      isReady: ready === 'true',
      restarts: Number(restarts),
      node,
    }))
}

function untilTwoReady(): Promise<PodLine[]> {
  return eventually(
    'two ready pods',
    async () => {
      const list = await pods()
      return list.length === 2 && list.every((pod) => pod.isReady) && list
    },
    60_000,
  )
}

interface Failure {
  atMs: number
  why: string
}

/** Asks for the page until stopped; counts answers and failures. */
function keepAsking(): { stop(): Promise<{ answered: number; failed: Failure[] }> } {
  const asking = new AbortController()
  const result = { answered: 0, failed: [] as Failure[] }
  const loop = (async () => {
    while (!asking.signal.aborted) {
      try {
        const response = await fetch(`${wherry.ready.app}/`, {
          headers: { connection: 'close' },
          signal: AbortSignal.timeout(5000),
        })
        await response.text()
        if (response.ok) result.answered++
        else result.failed.push({ atMs: Date.now(), why: String(response.status) })
      } catch (error) {
        result.failed.push({ atMs: Date.now(), why: String(error) })
      }
      await sleep(20)
    }
  })()
  return {
    stop: async () => {
      const deadline = Date.now() + 10_000
      while (result.answered < ANSWERS_MIN && Date.now() < deadline) await sleep(20)
      asking.abort()
      await loop
      return result
    },
  }
}

/** What was on its way inside at that moment dies with it; nothing after that may fail. */
function expectNoneLostAfter(killedAt: number, failed: Failure[]): void {
  expect(failed.filter(({ atMs }) => atMs > killedAt + IN_FLIGHT_MS)).toEqual([])
  expect(failed.length).toBeLessThanOrEqual(1)
}

/** The container's process: it carries its pod's name in its environment. */
function containerPid(pod: string): number {
  const found = listProcesses().find(({ environment }) => environment['HOSTNAME'] === pod)
  if (!found) throw new Error(`no process of pod ${pod}`)
  return found.pid
}

function agentPid(node: string): number {
  const found = listProcesses().find(
    ({ command, environment }) =>
      command.some((word) => word.endsWith('agent/main.ts')) &&
      environment['WHERRY_STATE_DIR']?.endsWith(`/${node}`),
  )
  if (!found) throw new Error(`no agent of node ${node}`)
  return found.pid
}

describe('what dies comes back', () => {
  test('a killed container runs again, restarted once, and the page never stops answering', async () => {
    const [first] = await untilTwoReady()
    const asking = keepAsking()
    const pid = containerPid(first?.name ?? '')
    process.kill(pid, 'SIGKILL')
    const killedAt = Date.now()
    await eventually('a restart', async () =>
      (await pods()).some((pod) => pod.name === first?.name && pod.restarts === 1),
    )
    await untilTwoReady()
    const { answered, failed } = await asking.stop()
    expectNoneLostAfter(killedAt, failed)
    expect(answered).toBeGreaterThanOrEqual(ANSWERS_MIN)
    expect(containerPid(first?.name ?? '')).not.toBe(pid)
  }, 90_000)

  test('a killed VM: its pods run elsewhere, the group makes a new VM, the page keeps answering', async () => {
    const before = await untilTwoReady()
    const victim = before[0]?.node ?? ''
    const instanceOf = async (): Promise<string> =>
      wherry.mustKubectl(
        `get node ${victim} -o jsonpath='{.metadata.annotations.wherry\\.dev/instance-id}'`,
      )
    const oldInstance = await instanceOf()
    const asking = keepAsking()
    for (const pid of processTree(agentPid(victim)).toReversed()) process.kill(pid, 'SIGKILL')
    const killedAt = Date.now()
    await eventually(
      'new pods instead of those that died',
      async () => {
        const now = await pods()
        const died = before.filter((pod) => pod.node === victim).map((pod) => pod.name)
        return now.length === 2 && now.every((pod) => pod.isReady && !died.includes(pod.name))
      },
      60_000,
    )
    await eventually(
      'a new VM',
      async () => {
        const nodes = await wherry.mustKubectl('get nodes --no-headers')
        const ready = nodes.split('\n').filter((line) => /\sReady\s/.test(line))
        return ready.length === 2 && (await instanceOf()) !== oldInstance
      },
      60_000,
    )
    const { answered, failed } = await asking.stop()
    expectNoneLostAfter(killedAt, failed)
    expect(answered).toBeGreaterThanOrEqual(ANSWERS_MIN)
  }, 150_000)
})

describe.each(['firestore', 'pubsub'] as const)(
  '%s stands still for ten seconds in the middle of a rollout',
  (name) => {
    test('nothing is lost, the rollout completes, the API hangs nobody', async () => {
      const pid = wherry.ready[name]?.pid
      if (!pid) throw new Error(`the ${name} emulator was not started here`)
      await untilTwoReady()
      await wherry.mustKubectl(`set env deployment/web FROZEN=${name}`)
      await freeze(pid)
      const thaw = setTimeout(() => process.kill(pid, 'SIGCONT'), FROZEN_MS)
      try {
        const frozenUntil = Date.now() + FROZEN_MS
        const answers: ApiAnswer[] = []
        while (Date.now() < frozenUntil) {
          answers.push(await askApi(wherry.ready.kubeconfig, '/api/v1/namespaces/default/pods'))
          await sleep(200)
        }
        for (const answer of answers) {
          expect(answer.tookMs).toBeLessThan(FROZEN_MS)
          expect([200, 503]).toContain(answer.status)
          if (answer.status !== 503) continue
          expect(Number(answer.retryAfter)).toBeGreaterThan(0)
          expect(answer.body).toMatchObject({ reason: 'ServiceUnavailable', code: 503 })
        }
        // Without the store nothing can be known to be fresh; without messages reading goes on.
        expect(answers.some(({ status }) => status === 503)).toBe(name === 'firestore')
      } finally {
        clearTimeout(thaw)
        process.kill(pid, 'SIGCONT')
      }
      await eventually(
        'the rollout',
        async () => {
          const { code } = await wherry.kubectl('rollout status deployment/web --timeout=20s')
          return code === 0
        },
        120_000,
      )
      await untilTwoReady()
      const env = await wherry.mustKubectl(
        `get pods -l run=web -o jsonpath='{.items[*].spec.containers[0].env[*].value}'`,
      )
      expect(env).toContain(name)
    }, 180_000)
  },
)

test('Ctrl-C leaves no process behind, and a second start has what the first had', async () => {
  await wherry.mustKubectl('create configmap remembered --from-literal=a=b')
  await eventually('saved', async () => {
    await sleep(1500)
    return true
  })
  const children = processTree(wherry.pid).slice(1)
  expect(children.length).toBeGreaterThan(3)
  expect(await wherry.stop()).toBe(0)
  await eventually(
    'all gone',
    async () => {
      const alive = new Set(listProcesses().map(({ pid }) => pid))
      return children.every((pid) => !alive.has(pid))
    },
    10_000,
  )
  const again = await startLocalWherry({ home: wherry.home })
  try {
    expect(await again.mustKubectl("get configmap remembered -o jsonpath='{.data.a}'")).toBe('b')
    await eventually(
      'two ready pods',
      async () => {
        const text = await again.mustKubectl('get pods -l run=web --no-headers')
        return text.split('\n').filter((line) => /1\/1\s+Running/.test(line)).length === 2
      },
      60_000,
    )
  } finally {
    await again.stop()
  }
}, 180_000)
