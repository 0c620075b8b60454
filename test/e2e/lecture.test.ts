// The lecture, command by command, with the real kubectl against the whole local system; and what
// kubectl users do next. Each expectation is a text that people see.

import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, startLocalWherry, type LocalWherry } from '../local-wherry.ts'

const MANIFEST = 'examples/tic-tac-toe/deploy-k8s-tic-tac-toe.yml'

let wherry: LocalWherry
const scratch = mkdtempSync(join(tmpdir(), 'wherry-lecture-'))

beforeAll(async () => {
  wherry = await startLocalWherry()
}, 120_000)
afterAll(() => wherry?.dispose(), 60_000)

/** Rows of a table without its header, split into cells. */
function rows(table: string): string[][] {
  return table
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s{2,}|\s(?=\S+$)/))
}

async function readyPods(selector = 'run=web'): Promise<string[]> {
  const text = await wherry.mustKubectl(`get pods -l ${selector} --no-headers`)
  return text
    .split('\n')
    .filter((line) => /\s(\d+)\/\1\s+Running\s/.test(line))
    .map((line) => line.split(/\s+/)[0] ?? '')
}

async function untilReady(count: number, selector?: string): Promise<string[]> {
  return eventually(`${count} ready pods`, async () => {
    const pods = await readyPods(selector)
    return pods.length === count && pods
  })
}

async function servedBy(): Promise<string> {
  const url = wherry.ready.app ?? ''
  const response = await fetch(`${url}/api/whoami`, {
    headers: { connection: 'close' },
    signal: AbortSignal.timeout(3000),
  })
  const { pod } = (await response.json()) as { pod: string }
  return pod
}

describe('as the lecture prints it', () => {
  test('kubectl version', async () => {
    expect(await wherry.mustKubectl('version --client')).toContain('Client Version: v1.35')
    expect(await wherry.mustKubectl('version')).toMatch(/Server Version: v1\.33\./)
  })

  test('get nodes: two, Ready, named as on GKE', async () => {
    const nodes = (await wherry.mustKubectl('get nodes')).trim().split('\n')
    expect(nodes[0]).toMatch(/^NAME\s+STATUS\s+ROLES\s+AGE\s+VERSION$/)
    expect(nodes.slice(1)).toHaveLength(2)
    for (const line of nodes.slice(1)) {
      expect(line).toMatch(
        /^gke-test-cluster-default-pool-[0-9a-f]{8}-[a-z0-9]{4}\s+Ready\s+<none>\s+\S+\s+v1\.33/,
      )
    }
  })

  test('get componentstatuses: all healthy', async () => {
    const table = await wherry.mustKubectl('get componentstatuses')
    const lines = table.trim().split('\n').slice(1)
    expect(lines.map((line) => line.split(/\s+/)[0])).toEqual([
      'compute',
      'firestore',
      'pubsub',
      'scheduler',
    ])
    for (const line of lines) expect(line).toMatch(/\sHealthy\s/)
  })

  test('get all shows pods, services, deployments and replica sets', async () => {
    await untilReady(2)
    const all = await wherry.mustKubectl('get all')
    for (const name of [
      'pod/web-',
      'service/kubernetes',
      'service/web',
      'deployment.apps/web',
      'replicaset.apps/web-',
    ]) {
      expect(all).toContain(name)
    }
    const everywhere = await wherry.mustKubectl('get all --all-namespaces')
    expect(everywhere).toMatch(/^NAMESPACE\s+NAME/m)
    expect(await wherry.mustKubectl('get pods --all-namespaces')).toMatch(
      /^default\s+web-\S+\s+1\/1\s+Running/m,
    )
  })

  test('get services: cluster address, external address, ports', async () => {
    const line = (await wherry.mustKubectl('get services'))
      .split('\n')
      .find((row) => row.startsWith('web '))
    expect(line).toMatch(
      /^web\s+LoadBalancer\s+34\.118\.\d+\.\d+\s+127\.\d+\.\d+\.\d+\s+80:3\d{4}\/TCP\s/,
    )
  })

  test('apply: unchanged, configured, created', async () => {
    expect(await wherry.mustKubectl(`apply -f ${MANIFEST}`)).toBe(
      'deployment.apps/web unchanged\nservice/web unchanged\n',
    )
    const edited = join(scratch, 'edited.yml')
    writeFileSync(edited, readFileSync(MANIFEST, 'utf8').replace(/replicas: 2/, 'replicas: 3'))
    expect(await wherry.mustKubectl(`apply -f ${edited}`)).toBe(
      'deployment.apps/web configured\nservice/web unchanged\n',
    )
    await untilReady(3)
    expect(await wherry.mustKubectl(`delete -f ${MANIFEST}`)).toBe(
      'deployment.apps "web" deleted from default namespace\nservice "web" deleted from default namespace\n',
    )
    await eventually(
      'no pods',
      async () => (await wherry.mustKubectl('get pods -l run=web -o name')) === '',
    )
    expect(await wherry.mustKubectl(`apply -f ${MANIFEST}`)).toBe(
      'deployment.apps/web created\nservice/web created\n',
    )
    await untilReady(2)
    await eventually('an address', async () => {
      const address = await wherry.mustKubectl(
        "get service web -o jsonpath='{.status.loadBalancer.ingress[0].ip}'",
      )
      return address !== ''
    })
  }, 90_000)

  test('the page is served by both pods, and says by which', async () => {
    const pods = await untilReady(2)
    const seen = new Set<string>()
    await eventually('both pods answer', async () => {
      seen.add(await servedBy())
      return seen.size === 2
    })
    expect([...seen].sort()).toEqual(pods.sort())
  })
})

describe('what comes next', () => {
  test('scale', async () => {
    expect(await wherry.mustKubectl('scale deployment web --replicas=4')).toBe(
      'deployment.apps/web scaled\n',
    )
    await untilReady(4)
    await wherry.mustKubectl('scale deployment web --replicas=2')
    await untilReady(2)
  })

  test('set env, rollout status, history, undo', async () => {
    await wherry.mustKubectl('set env deployment/web GREETING=hello')
    expect(await wherry.mustKubectl('rollout status deployment/web --timeout=60s')).toContain(
      'deployment "web" successfully rolled out',
    )
    expect(await wherry.mustKubectl('rollout history deployment/web')).toMatch(
      /REVISION\s+CHANGE-CAUSE\n1\s+<none>\n2\s+<none>/,
    )
    expect(await wherry.mustKubectl('rollout undo deployment/web')).toBe(
      'deployment.apps/web rolled back\n',
    )
    await wherry.mustKubectl('rollout status deployment/web --timeout=60s')
    expect(await wherry.mustKubectl('rollout history deployment/web')).toMatch(
      /\n2\s+<none>\n3\s+<none>/,
    )
  }, 90_000)

  test('set image to one that does not exist: ErrImagePull, the old pods stay; undo heals', async () => {
    await wherry.mustKubectl('set image deployment/web web=dlops/no-such-image')
    await eventually('a pod that cannot pull', async () =>
      /ErrImagePull|ImagePullBackOff/.test(await wherry.mustKubectl('get pods -l run=web')),
    )
    expect((await readyPods()).length).toBeGreaterThanOrEqual(2)
    await wherry.mustKubectl('rollout undo deployment/web')
    await wherry.mustKubectl('rollout status deployment/web --timeout=60s')
    await untilReady(2)
  }, 90_000)

  test('delete pod: it is replaced', async () => {
    const [first = ''] = await untilReady(2)
    expect(await wherry.mustKubectl(`delete pod ${first}`)).toContain(`pod "${first}" deleted`)
    const pods = await untilReady(2)
    expect(pods).not.toContain(first)
  })

  test('get pods -w sees a pod come and go', async () => {
    const watching = wherry.kubectl('get pods -l run=web -w --output-watch-events', {
      timeoutMs: 15_000,
    })
    await new Promise((resolve) => setTimeout(resolve, 1000))
    await wherry.mustKubectl('scale deployment web --replicas=3')
    await untilReady(3)
    await wherry.mustKubectl('scale deployment web --replicas=2')
    await untilReady(2)
    const { stdout } = await watching
    expect(stdout).toMatch(/ADDED\s+web-/)
    expect(stdout).toMatch(/MODIFIED\s+web-\S+\s+1\/1\s+Running/)
    expect(stdout).toMatch(/DELETED\s+web-/)
  }, 60_000)

  test('describe and logs', async () => {
    const [pod = ''] = await untilReady(2)
    const text = await wherry.mustKubectl(`describe pod ${pod}`)
    expect(text).toMatch(/Node:\s+gke-test-cluster-default-pool-/)
    expect(text).toMatch(/Normal\s+Scheduled\s+.*Successfully assigned default\/web-/)
    expect(text).toMatch(/Normal\s+Started\s/)
    expect(await wherry.mustKubectl('describe deployment web')).toContain('ScalingReplicaSet')
    expect(await wherry.mustKubectl('describe service web')).toMatch(
      /LoadBalancer Ingress:\s+127\./,
    )
    expect(await wherry.mustKubectl('describe nodes')).toContain('Allocated resources')
    expect((await wherry.mustKubectl(`logs ${pod}`)).length).toBeGreaterThan(0)
  })

  test('exec: output, exit code, standard input', async () => {
    const [pod = ''] = await untilReady(2)
    expect(await wherry.mustKubectl(`exec ${pod} -- node -p 6*7`)).toBe('42\n')
    const failing = await wherry.kubectl(`exec ${pod} -- node -e process.exit(3)`)
    expect(failing.code).toBe(3)
    const echoed = await wherry.mustKubectl(`exec -i ${pod} -- cat`, { input: 'typed\n' })
    expect(echoed).toBe('typed\n')
  })

  test('a manifest with mistakes is refused field by field', async () => {
    const broken = join(scratch, 'broken.yml')
    writeFileSync(broken, readFileSync(MANIFEST, 'utf8').replace('replicas: 2', 'replicaz: 2'))
    const unknown = await wherry.kubectl(`apply -f ${broken}`)
    expect(unknown.code).toBe(1)
    expect(unknown.stderr).toContain('unknown field "spec.replicaz"')
    writeFileSync(broken, readFileSync(MANIFEST, 'utf8').replace('replicas: 2', 'replicas: -2'))
    const negative = await wherry.kubectl(`apply -f ${broken}`)
    expect(negative.stderr).toContain(
      'spec.replicas: Invalid value: -2: must be greater than or equal to 0',
    )
  })

  test("the lecture's abbreviated manifest is refused, naming what is missing", async () => {
    const short = 'apiVersion: apps/v1\nkind: Deployment\nspec:\n  replicas: 2\n'
    const noName = await wherry.kubectl('apply -f -', { input: short })
    expect(noName.code).toBe(1)
    expect(noName.stderr).toContain('resource name may not be empty')
    const named = short.replace('spec:', 'metadata:\n  name: short\nspec:')
    const { stderr } = await wherry.kubectl('create -f -', { input: named })
    expect(stderr).toContain('spec.selector: Required value')
    expect(stderr).toContain('spec.template.spec.containers: Required value')
  })

  test('get of what is not there', async () => {
    expect((await wherry.kubectl('get pod nobody')).stderr).toBe(
      'Error from server (NotFound): pods "nobody" not found\n',
    )
    expect((await wherry.kubectl('get nonsense')).stderr).toContain(
      `the server doesn't have a resource type "nonsense"`,
    )
    expect((await wherry.kubectl('get pods -n nowhere')).stderr).toContain(
      'No resources found in nowhere namespace.',
    )
  })

  test('kubectl 1.32 gets along as well', async () => {
    const { stdout } = await wherry.kubectl('get pods -l run=web --no-headers', { version: '1.32' })
    expect(rows(`h\n${stdout}`)).toHaveLength(2)
    const { code } = await wherry.kubectl('create configmap from-old --from-literal=a=b', {
      version: '1.32',
    })
    expect(code).toBe(0)
    expect(await wherry.mustKubectl("get configmap from-old -o jsonpath='{.data.a}'")).toBe('b')
  })
})
