// What holds for apps, whatever the VMs are, and what needs more than VMs that are processes: the same
// list for apps.test.ts and docker-apps.test.ts.
//
// | tests | process VMs | Docker VMs |
// | --- | --- | --- |
// | the mushroom app: its parts find each other, its configuration arrives, readiness steers traffic | yes | yes |
// | pods have addresses and names in the network, files and users of their images | no: one loopback | yes |
// | a VM cut off, an agent or a Docker Engine that dies, a pod that runs on meanwhile | no: one process tree | yes |

import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { kubectl } from '../clients.ts'
import { runFault } from '../faults.ts'
import { eventually, type LocalWherry } from '../local-wherry.ts'

export type Vms = 'process' | 'docker'

const MUSHROOM = 'examples/mushroom-app/mushroom-app.yml'

/** Registers every test of the list that these VMs can pass. */
export function describeApps(vms: Vms, current: () => LocalWherry): void {
  describe.each([vms])('the mushroom app on %s VMs', () => mushroomApp(current))
  if (vms === 'docker') describe('what needs Docker VMs', () => dockerOnly(current))
}

function mushroomApp(current: () => LocalWherry): void {
  const TITLE = 'What grows under oaks'
  const KEY = 'chosen-by-this-test'
  /** So sure is nobody: the threshold that the model was given shows in its answers. */
  const CONFIDENCE = '0.9999'
  const TRAITS = { cap: 'funnel', color: 'yellow' }
  let url = ''

  const k = (args: string): Promise<string> => current().mustKubectl(`-n mushroom ${args}`)

  function addressOf(what: string): Promise<string> {
    const path = "jsonpath='{.status.loadBalancer.ingress[0].ip}'"
    return eventually(
      `an address of ${what}`,
      async () => (await k(`get ${what} -o ${path}`)) || undefined,
      60_000,
    )
  }

  /** Where the frontend's Service can be reached from this machine: at its address, as a rule. */
  async function frontend(): Promise<string> {
    const ip = await addressOf('service frontend')
    return current().urlOf(ip)
  }

  interface Answer {
    isSure: boolean
    guesses: { id: string }[]
    /** Which pod of each Service took part. */
    pods: Record<string, string>
  }

  async function classify(): Promise<Answer> {
    const response = await fetch(`${url}/api/classify`, {
      method: 'POST',
      body: JSON.stringify({ traits: TRAITS }),
      headers: { 'content-type': 'application/json', connection: 'close' },
      signal: AbortSignal.timeout(5000),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${response.status} ${text}`)
    return JSON.parse(text)
  }

  /** Which pods of a Service answer, asked until `count` in a row fit. */
  async function answersFrom(service: string, isFine: (pod: string) => boolean): Promise<void> {
    let inARow = 0
    await eventually(`${service} answers from the right pods`, async () => {
      for (; inARow < 20; inARow++) {
        if (isFine((await classify()).pods[service] ?? '')) continue
        inARow = 0
        return false
      }
      return true
    })
  }

  async function readyPods(app: string): Promise<string[]> {
    const text = await k(`get pods -l app=${app} --no-headers`)
    return text
      .split('\n')
      .filter((line) => /\s1\/1\s+Running\s/.test(line))
      .map((line) => line.split(/\s+/)[0] ?? '')
  }

  test('kubectl apply: its parts find each other, and answer through the Service', async () => {
    const text = readFileSync(MUSHROOM, 'utf8')
      .replace('title: Mushroom finder', `title: ${TITLE}`)
      .replace('confidence: "0.35"', `confidence: "${CONFIDENCE}"`)
      .replace('key: chanterelles-in-october', `key: ${KEY}`)
    const said = await current().mustKubectl('apply -f -', { input: text })
    expect(said.match(/ created/g)).toHaveLength(13)
    for (const name of ['model-api', 'catalog-api', 'frontend'])
      await k(`rollout status deployment/${name} --timeout=60s`)
    url = await frontend()
    const { guesses, pods } = await eventually('an answer', classify)
    expect(guesses[0]?.id).toBe('chanterelle')
    expect(pods['frontend']).toMatch(/^frontend-/)
    expect(pods['model-api']).toMatch(/^model-api-/)
    expect(pods['catalog-api']).toMatch(/^catalog-api-/)
  }, 100_000)

  test('its Ingress leads to the frontend as well, at an address of its own', async () => {
    await current().mustKubectl('apply -f examples/mushroom-app/ingress.yml')
    const ip = await addressOf('ingress mushroom')
    const page = await eventually('the page', async () => {
      const response = await fetch(current().urlOf(ip), { headers: { connection: 'close' } })
      return response.ok && response.text()
    })
    expect(page).toContain(`<title>${TITLE}</title>`)
    expect(url).not.toContain(ip)
    await k('delete ingress mushroom')
  }, 100_000)

  test('what stands in the ConfigMap and the Secret arrives', async () => {
    const page = await (await fetch(url)).text()
    expect(page).toContain(`<title>${TITLE}</title>`)
    expect((await classify()).isSure).toBe(false)
    for (const name of ['model-api', 'catalog-api', 'frontend'])
      expect(await k(`exec deployment/${name} -- printenv API_KEY`)).toBe(`${KEY}\n`)
    expect(await k('exec deployment/model-api -- printenv CONFIDENCE')).toBe(`${CONFIDENCE}\n`)
  })

  test('pods of model-api and frontend that stop being ready get no requests', async () => {
    // Side by side: most of it is waiting.
    const flags = await Promise.all(['model-api', 'frontend'].map(readyByFlag))
    await Promise.all(flags.map(stopsBeingReady))
  }, 150_000)

  /** Only its readiness will say that a pod should not be asked: it goes on serving. */
  async function readyByFlag(app: string): Promise<{ app: string; flag: string }> {
    const flag = `/tmp/wherry-${randomUUID()}`
    const probe = { command: ['sh', '-c', `test ! -e ${flag}-$HOSTNAME`] }
    const container = {
      name: app,
      readinessProbe: { httpGet: null, exec: probe, periodSeconds: 1, timeoutSeconds: 10 },
    }
    const patch = { spec: { template: { spec: { containers: [container] } } } }
    await k(`patch deployment ${app} -p '${JSON.stringify(patch)}'`)
    await k(`rollout status deployment/${app} --timeout=60s`)
    return { app, flag }
  }

  async function stopsBeingReady({ app, flag }: { app: string; flag: string }): Promise<void> {
    const [first = '', second = ''] = await eventually(`two pods of ${app}`, async () => {
      const pods = await readyPods(app)
      return pods.length === 2 && pods
    })
    const seen = new Set<string>()
    await eventually(`both pods of ${app} answer`, async () => {
      seen.add((await classify()).pods[app] ?? '')
      return seen.has(first) && seen.has(second)
    })
    await k(`exec ${first} -- touch ${flag}-${first}`)
    await answersFrom(app, (pod) => pod === second)
    expect(await readyPods(app)).toEqual([second])
    const later = new Set<string>()
    for (let asked = 0; asked < 60; asked++) later.add((await classify()).pods[app] ?? '')
    expect([...later]).toEqual([second])
    await k(`exec ${first} -- rm ${flag}-${first}`)
    await eventually(`${app} answers from it again`, async () => {
      return (await classify()).pods[app] === first
    })
  }
}

function dockerOnly(current: () => LocalWherry): void {
  interface WebPod {
    name: string
    ip: string
    node: string
    isReady: boolean
    restarts: number
  }

  async function webPods(): Promise<WebPod[]> {
    const text = await current().mustKubectl('get pods -l run=web -o json')
    const { items }: { items: PodJson[] } = JSON.parse(text)
    return items
      .filter(({ metadata }) => !metadata.deletionTimestamp)
      .map(({ metadata, spec, status }) => ({
        name: metadata.name,
        ip: status.podIP ?? '',
        node: spec.nodeName ?? '',
        isReady: status.containerStatuses?.every(({ ready }) => ready) ?? false,
        restarts: status.containerStatuses?.[0]?.restartCount ?? 0,
      }))
  }

  interface PodJson {
    metadata: { name: string; deletionTimestamp?: string }
    spec: { nodeName?: string }
    status: { podIP?: string; containerStatuses?: { ready: boolean; restartCount: number }[] }
  }

  const untilTwoReady = (): Promise<WebPod[]> =>
    eventually(
      'two ready pods',
      async () => {
        const pods = await webPods()
        return pods.length === 2 && pods.every(({ isReady }) => isReady) && pods
      },
      120_000,
    )
  const inPod = (pod: string, command: string): Promise<string> =>
    current().mustKubectl(`exec ${pod} -- sh -c '${command}'`)
  const servedBy = async (url: string): Promise<string> => {
    const response = await fetch(url, {
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(3000),
    })
    await response.arrayBuffer()
    return response.headers.get('x-served-by') ?? ''
  }
  /** The page answers, from these pods only. */
  const untilServedBy = (names: readonly string[]): Promise<true> =>
    eventually(
      `the page is served by ${names.join(' and ')} only`,
      async () => {
        for (let count = 0; count < 8; count++) {
          if (!names.includes(await servedBy(current().ready.app ?? ''))) return false
        }
        return true
      },
      120_000,
    )

  test('each pod has an address of its own, and the files and the user of its image', async () => {
    const pods = await untilTwoReady()
    expect(new Set(pods.map(({ node }) => node)).size).toBe(2)
    for (const { name, ip } of pods) {
      expect(ip).toMatch(/^10\.\d+\.\d+\.\d+$/)
      expect(await servedBy(`http://${ip}:8080`)).toBe(name)
      expect(await inPod(name, 'hostname -i; id -u; ls /app')).toBe(
        `${ip}\n1000\npackage.json\npublic\nserver.js\n`,
      )
    }
    await untilServedBy(pods.map(({ name }) => name))
  }, 150_000)

  test('pods find each other by address and by name, across VMs', async () => {
    const [first, second] = await untilTwoReady()
    const page = await inPod(first?.name ?? '', `wget -qO- http://${second?.ip}:8080/`)
    expect(page).toContain('<!doctype html>')
    expect(await inPod(second?.name ?? '', 'wget -qO- http://web.default.svc.cluster.local/')).toBe(
      page,
    )
  }, 60_000)

  test('kubectl port-forward reaches what listens on the pod’s own localhost only', async () => {
    const env = ['--env=HOST=127.0.0.1', '--env=PORT=8099']
    const image = ['--image=dlops/tic-tac-toe', '--image-pull-policy=IfNotPresent']
    await current().mustKubectl(['run local', ...image, ...env].join(' '))
    // kubectl gives up at the first connection that is refused.
    await eventually(
      'it listens',
      async () => (await current().mustKubectl('logs local')).includes('listens on 127.0.0.1:8099'),
      120_000,
    )
    const forward = spawn(kubectl(), ['port-forward', 'pod/local', ':8099'], {
      env: {
        PATH: process.env['PATH'],
        KUBECONFIG: current().ready.kubeconfig,
        HOME: '/nonexistent',
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    try {
      let said = ''
      forward.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
      const port = await eventually('a port', async () => /127\.0\.0\.1:(\d+)/.exec(said)?.[1])
      expect(await servedBy(`http://127.0.0.1:${port}`)).toBe('local')
      const ip = await current().mustKubectl('get pod local -o jsonpath={.status.podIP}')
      await expect(servedBy(`http://${ip}:8099`)).rejects.toThrow()
    } finally {
      forward.kill()
    }
    await current().mustKubectl('delete pod local --timeout=60s')
  }, 200_000)

  test('an agent that dies takes nothing with it; a container that dies comes back', async () => {
    const [first, second] = await untilTwoReady()
    if (!first || !second) throw new Error('two pods')
    await runFault(current(), 'agent-kill', first.node)
    await eventually('the agent answers again', () => inPod(first.name, 'echo here'), 60_000)
    expect((await webPods()).map(({ name, restarts }) => [name, restarts])).toEqual(
      [first, second].map(({ name, restarts }) => [name, restarts]),
    )
    await runFault(current(), 'container-kill', first.name)
    await eventually(
      'a restart',
      async () =>
        (await webPods()).some(
          ({ name, restarts }) => name === first.name && restarts === first.restarts + 1,
        ),
      60_000,
    )
    await untilTwoReady()
  }, 240_000)

  test('a VM that is cut off serves nobody, and is back when it heals', async () => {
    const [first, second] = await untilTwoReady()
    if (!first || !second) throw new Error('two pods')
    await runFault(current(), 'partition', first.node)
    await eventually(
      'the page is served without it',
      async () => {
        for (let count = 0; count < 8; count++) {
          if ((await servedBy(current().ready.app ?? '')) === first.name) return false
        }
        return true
      },
      120_000,
    )
    await runFault(current(), 'heal')
    await eventually(
      'it is ready again',
      async () => {
        const nodes = await current().mustKubectl('get nodes --no-headers')
        return nodes.split('\n').filter((line) => /\sReady\s/.test(line)).length === 2
      },
      120_000,
    )
    await untilTwoReady()
  }, 300_000)

  test('a VM that loses its power: its pods run elsewhere, its group makes another', async () => {
    const before = await untilTwoReady()
    const victim = before[0]?.node ?? ''
    const instance = (): Promise<string> =>
      current().mustKubectl(
        `get node ${victim} -o jsonpath='{.metadata.annotations.wherry\\.dev/instance-id}'`,
      )
    const old = await instance()
    await runFault(current(), 'vm-kill', victim)
    await eventually(
      'another VM of that name',
      async () => {
        const nodes = await current().mustKubectl('get nodes --no-headers')
        const ready = nodes.split('\n').filter((line) => /\sReady\s/.test(line))
        return ready.length === 2 && (await instance()) !== old
      },
      120_000,
    )
    const after = await untilTwoReady()
    const died = before.filter(({ node }) => node === victim).map(({ name }) => name)
    for (const { name } of after) expect(died).not.toContain(name)
    await untilServedBy(after.map(({ name }) => name))
  }, 300_000)

  test('a database moves with its disk when its VM loses its power, and forgets nothing', async () => {
    const k = (args: string): Promise<string> => current().mustKubectl(`-n mushroom ${args}`)
    // As it is written: what another test has patched in it goes first.
    await current().mustKubectl(`delete -f ${MUSHROOM} --ignore-not-found --timeout=120s`)
    await current().mustKubectl(`apply -f ${MUSHROOM}`)
    for (const name of ['database', 'model-api', 'catalog-api', 'frontend'])
      await k(`rollout status deployment/${name} --timeout=120s`)
    const path = "jsonpath='{.status.loadBalancer.ingress[0].ip}'"
    const ip = await eventually(
      'an address',
      async () => (await k(`get service frontend -o ${path}`)) || undefined,
    )
    const url = current().urlOf(ip)
    const kept = async (): Promise<number | undefined> => {
      const response = await fetch(`${url}/api/questions`, { signal: AbortSignal.timeout(5000) })
      const { questions }: { questions?: { total: number }[] } = JSON.parse(await response.text())
      return questions?.[0]?.total
    }
    const ask = async (): Promise<boolean> => {
      const response = await fetch(`${url}/api/classify`, {
        method: 'POST',
        body: JSON.stringify({ traits: { cap: 'funnel', color: 'yellow' } }),
        headers: { 'content-type': 'application/json' },
        signal: AbortSignal.timeout(5000),
      })
      return response.ok
    }
    const before = await eventually(
      'a question that is kept',
      async () => (await ask()) && (await kept()),
      60_000,
    )
    const place = "get pods -l app=database -o jsonpath='{.items[0].spec.nodeName}'"
    await runFault(current(), 'vm-kill', await k(place))
    const after = await eventually('the database answers again', kept, 150_000)
    expect(after).toBeGreaterThanOrEqual(before)
    await current().mustKubectl(`delete -f ${MUSHROOM} --timeout=120s`)
    await untilTwoReady()
  }, 600_000)
}
