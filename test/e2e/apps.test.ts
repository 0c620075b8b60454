// What people deploy beyond the lecture, on the whole local system with VMs that are processes: a Helm
// chart with both Helms, and the list of what holds for apps (app-list.ts).

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { helm, runClient } from '../clients.ts'
import { eventually, startLocalWherry, type LocalWherry } from '../local-wherry.ts'
import { describeApps } from './app-list.ts'

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

describeApps('process', () => wherry)
