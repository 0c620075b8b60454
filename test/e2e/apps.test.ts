// What people deploy beyond the lecture, on the whole local system: a Helm chart with both Helms, and
// the lecture's second app, whose parts find each other and whose traffic follows readiness.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { helm, runClient } from '../clients.ts'
import { eventually, startLocalWherry, type LocalWherry } from '../local-wherry.ts'

const MUSHROOM = 'examples/mushroom-app/mushroom-app.yml'

let wherry: LocalWherry
const scratch = mkdtempSync(join(tmpdir(), 'wherry-apps-'))

beforeAll(async () => {
  wherry = await startLocalWherry()
}, 120_000)
afterAll(async () => {
  await wherry?.dispose()
  rmSync(scratch, { recursive: true, force: true })
}, 60_000)

const CHART = {
  'Chart.yaml': 'apiVersion: v2\nname: greeter\nversion: 0.1.0\nappVersion: "1.0"\n',
  'values.yaml': 'replicas: 2\ngreeting: hello\npassword: first\n',
  'templates/config.yaml': `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  labels: { app.kubernetes.io/instance: {{ .Release.Name }} }
data:
  greeting: {{ .Values.greeting | quote }}
---
apiVersion: v1
kind: Secret
metadata:
  name: {{ .Release.Name }}
  labels: { app.kubernetes.io/instance: {{ .Release.Name }} }
stringData:
  password: {{ .Values.password | quote }}
`,
  'templates/app.yaml': `apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
  labels: { app.kubernetes.io/instance: {{ .Release.Name }} }
spec:
  selector: { app: {{ .Release.Name }} }
  ports: [{ name: http, port: 80, targetPort: http }]
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: { app.kubernetes.io/instance: {{ .Release.Name }} }
spec:
  replicas: {{ .Values.replicas }}
  selector: { matchLabels: { app: {{ .Release.Name }} } }
  template:
    metadata:
      labels: { app: {{ .Release.Name }} }
      annotations: { checksum: {{ .Values.greeting | sha256sum }} }
    spec:
      containers:
        - name: web
          image: dlops/tic-tac-toe
          imagePullPolicy: IfNotPresent
          ports: [{ name: http, containerPort: 8080 }]
          env:
            - name: GREETING
              valueFrom: { configMapKeyRef: { name: {{ .Release.Name }}, key: greeting } }
            - name: PASSWORD
              valueFrom: { secretKeyRef: { name: {{ .Release.Name }}, key: password } }
          readinessProbe:
            httpGet: { path: /, port: http }
            periodSeconds: 2
`,
}

describe.each(['4', '3'] as const)('helm %s', (version) => {
  const release = `greeter-${version}`
  const chart = join(scratch, `chart-${version}`)
  const home = join(scratch, `home-${version}`)

  async function must(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await runClient(helm(version), args, {
      home,
      kubeconfig: wherry.ready.kubeconfig,
      timeoutMs: 90_000,
    })
    if (code !== 0) throw new Error(`helm ${args.join(' ')} → ${code}\n${stdout}${stderr}`)
    return stdout
  }

  /** What the containers really got. */
  async function environment(): Promise<string> {
    return wherry.mustKubectl(`exec deployment/${release} -- printenv GREETING PASSWORD`)
  }

  beforeAll(() => {
    for (const [file, text] of Object.entries(CHART)) {
      mkdirSync(dirname(join(chart, file)), { recursive: true })
      writeFileSync(join(chart, file), text)
    }
    mkdirSync(home, { recursive: true })
  })

  test('install --wait, list, status', async () => {
    const said = await must('install', release, chart, '--wait', '--timeout', '60s')
    expect(said).toContain('STATUS: deployed')
    expect(await must('list')).toMatch(new RegExp(`^${release}\\s+default\\s+1\\s.*deployed`, 'm'))
    expect(
      await wherry.mustKubectl(`get deployment ${release} -o jsonpath={.status.readyReplicas}`),
    ).toBe('2')
    expect(await environment()).toBe('hello\nfirst\n')
  }, 100_000)

  test('upgrade --wait replaces the pods, rollback brings the old ones back', async () => {
    const change = ['--set', 'greeting=good evening', '--set', 'password=second']
    await must('upgrade', release, chart, ...change, '--wait', '--timeout', '60s')
    expect(await environment()).toBe('good evening\nsecond\n')
    await must('rollback', release, '1', '--wait', '--timeout', '60s')
    expect(await environment()).toBe('hello\nfirst\n')
    expect((await must('history', release)).trim().split('\n').slice(1)).toHaveLength(3)
  }, 150_000)

  test('uninstall leaves nothing', async () => {
    await must('uninstall', release, '--wait', '--timeout', '60s')
    expect(await must('list')).not.toContain(release)
    await eventually('nothing left', async () => {
      const left = await wherry.mustKubectl(
        `get deployments,replicasets,services,configmaps,secrets,endpointslices,pods -o name`,
      )
      return !left.includes(release)
    })
  }, 100_000)
})

describe('the mushroom app', () => {
  const TITLE = 'What grows under oaks'
  const KEY = 'chosen-by-this-test'
  /** So sure is nobody: the threshold that the model was given shows in its answers. */
  const CONFIDENCE = '0.9999'
  const TRAITS = { cap: 'funnel', color: 'yellow' }
  const manifest = join(scratch, 'mushroom.yml')
  let url = ''

  const k = (args: string): Promise<string> => wherry.mustKubectl(`-n mushroom ${args}`)

  /** Where the frontend's Service can be reached from this machine: at its address, as a rule. */
  async function frontend(): Promise<string> {
    const ip = await eventually('an address', () =>
      k("get service frontend -o jsonpath='{.status.loadBalancer.ingress[0].ip}'"),
    )
    return wherry.urlOf(ip)
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
    writeFileSync(manifest, text)
    expect((await wherry.mustKubectl(`apply -f ${manifest}`)).match(/ created/g)).toHaveLength(9)
    for (const name of ['model-api', 'catalog-api', 'frontend'])
      await k(`rollout status deployment/${name} --timeout=60s`)
    url = await frontend()
    const { guesses, pods } = await eventually('an answer', classify)
    expect(guesses[0]?.id).toBe('chanterelle')
    expect(pods['frontend']).toMatch(/^frontend-/)
    expect(pods['model-api']).toMatch(/^model-api-/)
    expect(pods['catalog-api']).toMatch(/^catalog-api-/)
  }, 100_000)

  test('what stands in the ConfigMap and the Secret arrives', async () => {
    const page = await (await fetch(url)).text()
    expect(page).toContain(`<title>${TITLE}</title>`)
    expect((await classify()).isSure).toBe(false)
    for (const name of ['model-api', 'catalog-api', 'frontend'])
      expect(await k(`exec deployment/${name} -- printenv API_KEY`)).toBe(`${KEY}\n`)
    expect(await k('exec deployment/model-api -- printenv CONFIDENCE')).toBe(`${CONFIDENCE}\n`)
  })

  test.each(['model-api', 'frontend'])(
    'a pod of %s that stops being ready gets no requests',
    async (app) => {
      // It goes on serving: only its readiness says that it should not be asked.
      const flag = join(scratch, 'not-ready')
      const probe = { command: ['sh', '-c', `test ! -e ${flag}-$HOSTNAME`] }
      const container = {
        name: app,
        readinessProbe: { httpGet: null, exec: probe, periodSeconds: 1 },
      }
      const patch = { spec: { template: { spec: { containers: [container] } } } }
      await k(`patch deployment ${app} -p '${JSON.stringify(patch)}'`)
      await k(`rollout status deployment/${app} --timeout=60s`)
      const [first = '', second = ''] = await eventually('two pods', async () => {
        const pods = await readyPods(app)
        return pods.length === 2 && pods
      })
      const seen = new Set<string>()
      await eventually('both answer', async () => {
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
      await eventually('it answers again', async () => (await classify()).pods[app] === first)
    },
    100_000,
  )
})
