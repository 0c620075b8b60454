// The shared HTTP entry of a cluster, on the whole local system: requests lost while pods come and go, how long
// 200 rules take to be in force, and what the entry costs against asking a pod directly.
// `npm run bench -- ingress [--requests N] [--only lossless,rules,throughput]`

import { parseArgs } from 'node:util'
import type { Pod } from '#shared/api/pod.ts'
import { ask, startHttpLoad, type HttpLoad, type HttpLoadTarget } from '#test/http-load.ts'
import { eventually, startLocalWherry, type LocalWherry } from '#test/local-wherry.ts'
import { ingressSection } from './ingress/section.ts'
import type { Measure, Measurement, Section } from './measurement.ts'
import { addressOnHost } from './start/deployment.ts'
import { wantedMachines } from './support/machines.ts'

const REQUESTS = 100_000
const VISITORS = 32
const SERVICES = 100
const RULES_PER_SERVICE = 2
const THROUGHPUT_MS = 5000
const LIMIT_MS = 900_000
const PARTS = ['lossless', 'rules', 'throughput']

export const section: Section = { page: 'ingress', name: 'ingress', text: ingressSection }

export const measure: Measure = async (args) => {
  const { values } = parseArgs({
    args: [...args],
    options: { requests: { type: 'string' }, only: { type: 'string' } },
  })
  const only = values.only?.split(',') ?? PARTS
  const wherry = await startLocalWherry({ env: await wantedMachines(), deadlineMs: 240_000 })
  try {
    const entry = await deploy(wherry)
    return [
      ...(only.includes('rules') ? await rules(wherry, entry) : []),
      ...(only.includes('throughput') ? await throughput(wherry, entry) : []),
      ...(only.includes('lossless')
        ? await lossless(wherry, entry, Number(values.requests ?? REQUESTS))
        : []),
    ]
  } finally {
    await wherry.dispose()
  }
}

/** An app that ends at once when it is told to. */
const APP = `require('http').createServer((q, s) => s.end('ok')).listen(process.env.PORT ?? 8080, process.env.HOST ?? '0.0.0.0')`

async function deploy(wherry: LocalWherry): Promise<HttpLoadTarget> {
  const input = `apiVersion: apps/v1
kind: Deployment
metadata: { name: bench }
spec:
  replicas: 3
  selector: { matchLabels: { app: bench } }
  template:
    metadata: { labels: { app: bench } }
    spec:
      containers:
        - name: web
          image: dlops/tic-tac-toe
          command: [node, -e, "${APP}"]
          ports: [{ containerPort: 8080 }]
          readinessProbe: { httpGet: { path: /, port: 8080 }, periodSeconds: 1 }
---
${serviceOf('bench')}---
${ingressOf('bench', [{ host: 'bench.example', service: 'bench' }])}`
  await wherry.mustKubectl('apply -f -', { input })
  await wherry.mustKubectl('rollout status deployment/bench --timeout=300s', { timeoutMs: 310_000 })
  const path = '{.status.loadBalancer.ingress[0].ip}'
  const read = () => wherry.mustKubectl(`get ingress bench -o jsonpath=${path}`)
  const address = await eventually('an address', async () => (await read()) || undefined, 120_000)
  const at = await eventually('a way to the entry', async () => targetAt(wherry, address), 120_000)
  await eventually('an answer', async () => !('failure' in (await ask(at))), 120_000)
  return at
}

/** On the entry's own address, or where it listens instead. */
async function targetAt(wherry: LocalWherry, address: string): Promise<HttpLoadTarget | undefined> {
  const pattern = `${address.replaceAll('.', String.raw`\.`)}:80 cannot .* http://([\\d.]+):(\\d+)`
  const [, host, port] = new RegExp(pattern).exec(wherry.output()) ?? []
  const at = {
    path: '/',
    hostHeader: 'bench.example',
    host: host ?? address,
    port: Number(port ?? 80),
  }
  const answer = await ask(at)
  return 'failure' in answer && answer.status === undefined ? undefined : at
}

/** Restarts and resizes the Deployment until there were enough requests. */
async function lossless(
  wherry: LocalWherry,
  entry: HttpLoadTarget,
  requests: number,
): Promise<Measurement[]> {
  const load = startHttpLoad(entry, VISITORS)
  const since = Date.now()
  let [updates, resizes] = [0, 0]
  try {
    while (load.answered() < requests && Date.now() - since < LIMIT_MS) {
      await wherry.mustKubectl('rollout restart deployment/bench')
      await wherry.mustKubectl('rollout status deployment/bench --timeout=300s')
      updates++
      for (const replicas of [1, 3]) {
        await wherry.mustKubectl(`scale deployment/bench --replicas=${replicas}`)
        await wherry.mustKubectl('rollout status deployment/bench --timeout=300s')
        resizes++
      }
    }
  } finally {
    await load.stop()
  }
  for (const failure of load.failures.slice(0, 10)) console.error(failure)
  const note = `${updates} rolling updates, ${resizes} resizes`
  return [
    { name: 'ingress.lossless.requests', unit: 'count', value: load.answered(), note },
    { name: 'ingress.lossless.failed', unit: 'count', value: load.failures.length },
  ]
}

/** From `kubectl apply` to the first moment in which each rule of each service is answered. */
async function rules(wherry: LocalWherry, entry: HttpLoadTarget): Promise<Measurement[]> {
  const names = Array.from({ length: SERVICES }, (_, index) => `many-${index}`)
  const hosts = names.flatMap((service) =>
    Array.from({ length: RULES_PER_SERVICE }, (_, index) => ({
      host: `${index}.${service}.example`,
      service,
    })),
  )
  const input = [...names.map(serviceOf), ingressOf('many', hosts)].join('---\n')
  const since = Date.now()
  await wherry.mustKubectl('apply -f -', { input })
  const appliedAt = Date.now()
  const waiting = new Set(hosts.map(({ host }) => host))
  await eventually(
    'all rules',
    async () => {
      for (const hostHeader of waiting) {
        if ('failure' in (await ask({ ...entry, hostHeader }))) return false
        waiting.delete(hostHeader)
      }
      return true
    },
    300_000,
  )
  const note = `${hosts.length} rules over ${SERVICES} services`
  return [
    {
      name: 'ingress.rules.apply',
      unit: 's',
      value: (appliedAt - since) / 1000,
      note: 'kubectl itself',
    },
    { name: 'ingress.rules.effective', unit: 's', value: (Date.now() - since) / 1000, note },
  ]
}

/** The same visitors through the entry, and at one pod's own port. */
async function throughput(wherry: LocalWherry, entry: HttpLoadTarget): Promise<Measurement[]> {
  const direct = await podTarget(wherry)
  const through = await perSecond(startHttpLoad(entry, VISITORS))
  const straight = await perSecond(startHttpLoad(direct, VISITORS))
  return [
    { name: 'ingress.throughput.entry', unit: '1/s', value: through },
    { name: 'ingress.throughput.direct', unit: '1/s', value: straight },
    { name: 'ingress.throughput.ratio', unit: 'ratio', value: through / straight },
  ]
}

async function perSecond(load: HttpLoad): Promise<number> {
  const since = Date.now()
  await new Promise((done) => setTimeout(done, THROUGHPUT_MS))
  const answered = load.answered()
  const seconds = (Date.now() - since) / 1000
  await load.stop()
  if (answered === 0) throw new Error(`nobody was answered: ${load.failures[0]}`)
  return answered / seconds
}

async function podTarget(wherry: LocalWherry): Promise<HttpLoadTarget> {
  const text = await wherry.mustKubectl('get pods -l app=bench -o json')
  const { items }: { items: [Pod] } = JSON.parse(text)
  const [host = '', port = ''] = (await addressOnHost(wherry, items[0])).split(':')
  return { host, port: Number(port), path: '/', hostHeader: 'bench.example' }
}

function serviceOf(name: string): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec:
  selector: { app: bench }
  ports: [{ port: 80, targetPort: 8080 }]
`
}

function ingressOf(name: string, hosts: readonly { host: string; service: string }[]): string {
  const rules = hosts.map(
    ({ host, service }) =>
      `    - host: ${host}
      http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: ${service}, port: { number: 80 } } } }] }
`,
  )
  return `apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: ${name} }
spec:
  rules:
${rules.join('')}`
}
