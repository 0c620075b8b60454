// Ingresses on the whole local system: real kubectl, the Compute Engine emulator behind Google's client, pods
// that are processes, and requests through the balancer while pods come and go.

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { ask, startHttpLoad, type HttpLoadTarget } from '../http-load.ts'
import { eventually, startLocalWherry, type LocalWherry } from '../local-wherry.ts'

let wherry: LocalWherry

vi.setConfig({ testTimeout: 180_000 })

beforeAll(async () => {
  wherry = await startLocalWherry({ deadlineMs: 240_000 })
}, 300_000)
afterAll(async () => {
  await wherry?.dispose()
}, 60_000)

/** An app that ends at once when it is told to: nothing but the order of things keeps its requests. */
const BLUNT = `require('http').createServer((q, s) => setTimeout(() => s.end(process.env.NAME), 20)).listen(process.env.PORT, process.env.HOST)`

function anApp(name: string, replicas: number, namespace = 'default'): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  selector: { app: ${name} }
  ports: [{ name: http, port: 80, targetPort: 8080 }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      containers:
        - name: web
          image: dlops/tic-tac-toe
          command: [node, -e, "${BLUNT}"]
          env: [{ name: NAME, value: ${name} }]
          ports: [{ containerPort: 8080 }]
          readinessProbe: { httpGet: { path: /, port: 8080 }, periodSeconds: 1 }
---
`
}

const apply = (input: string) => wherry.mustKubectl('apply -f -', { input })

async function addressOf(ingress: string): Promise<string> {
  const path = '{.status.loadBalancer.ingress[0].ip}'
  const read = () => wherry.mustKubectl(`get ingress ${ingress} -o jsonpath=${path}`)
  return eventually(`an address for ${ingress}`, async () => (await read()) || undefined, 90_000)
}

/** Where the balancer's port 80 is on this machine. */
async function target(address: string, hostHeader: string, path = '/'): Promise<HttpLoadTarget> {
  const elsewhere = new RegExp(
    `${address.replaceAll('.', '\\.')}:80 cannot .* http://([\\d.]+):(\\d+)`,
  )
  return eventually(
    `a way to ${address}`,
    async () => {
      const [, host, port] = elsewhere.exec(wherry.output()) ?? []
      const at = { hostHeader, path, host: host ?? address, port: Number(port ?? 80) }
      const answer = await ask(at)
      return 'failure' in answer && answer.status === undefined ? undefined : at
    },
    90_000,
  )
}

describe('Ingress', () => {
  test('there is a default class', async () => {
    expect(await wherry.mustKubectl('get ingressclass')).toMatch(
      /^NAME +CONTROLLER +PARAMETERS +AGE\ngce +wherry\.dev\/ingress +<none> +\S+\n$/,
    )
  })

  test('two namespaces and three services share one address, and kubectl shows it', async () => {
    await apply(`${anApp('shop', 3)}${anApp('cart', 1)}`)
    await wherry.mustKubectl('create namespace other')
    await apply(anApp('blog', 1, 'other'))
    await apply(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop }
spec:
  rules:
    - host: shop.example
      http:
        paths:
          - { path: /, pathType: Prefix, backend: { service: { name: shop, port: { name: http } } } }
          - { path: /cart, pathType: Exact, backend: { service: { name: cart, port: { number: 80 } } } }
          - { path: /nowhere, pathType: Prefix, backend: { service: { name: nope, port: { number: 80 } } } }
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: blog, namespace: other, annotations: { kubernetes.io/ingress.class: gce } }
spec:
  defaultBackend: { service: { name: blog, port: { number: 80 } } }
`)
    const address = await addressOf('shop')
    expect(await wherry.mustKubectl('get ingress -A')).toMatch(
      new RegExp(
        `^NAMESPACE +NAME +CLASS +HOSTS +ADDRESS +PORTS +AGE\\ndefault +shop +gce +shop\\.example +${address} +80 +\\S+\\nother +blog +<none> +\\* +${address} +80 +\\S+\\n$`,
      ),
    )
    const at = await target(address, 'shop.example')
    const answers = async (hostHeader: string, path: string) => {
      const answer = await ask({ ...at, hostHeader, path })
      return 'failure' in answer ? `${answer.status}` : answer.body
    }
    await eventually(
      'all of them answer',
      async () => {
        const all = [
          await answers('shop.example', '/any'),
          await answers('shop.example', '/cart'),
          await answers('shop.example', '/cart/1'),
          await answers('elsewhere.example', '/'),
          await answers('shop.example', '/nowhere'),
        ]
        return all.join(' ') === 'shop cart shop blog 503'
      },
      90_000,
    )
    await wherry.mustKubectl('delete ingress blog -n other')
    await eventually('nobody else has the other hosts', async () => {
      return (await answers('elsewhere.example', '/')) === '404'
    })
  })

  test('a rule that points at nothing is an Event and an annotation with the reason', async () => {
    const text = await eventually('the events', async () => {
      const described = await wherry.mustKubectl('describe ingress shop')
      return described.includes('Translate') ? described : undefined
    })
    expect(text).toMatch(/Ingress Class: +gce\n/)
    expect(text).toMatch(/Rules:\n +Host +Path +Backends\n/)
    expect(text).toMatch(
      /shop\.example +\n +\/ +shop:http \(10\.\S+:8080,10\.\S+:8080,10\.\S+:8080\)\n/,
    )
    expect(text).toMatch(/\/nowhere +nope:80 \(.*services "nope" not found.*\)/)
    expect(text).toMatch(/ingress\.kubernetes\.io\/url-map: k8s1-[0-9a-f]{8}-um/)
    expect(text).toMatch(/ingress\.wherry\.dev\/problems: could not find service "default\/nope"/)
    expect(text).toMatch(/Normal +Sync .*loadbalancer-controller +Scheduled for sync/)
    expect(text).toMatch(/Normal +IPChanged .*loadbalancer-controller +IP is now 127\./)
    expect(text).toMatch(
      /Warning +Translate .*Translation failed: invalid ingress spec: could not find service "default\/nope"/,
    )
  })

  test('a host of sslip.io is a host like any other', async () => {
    const address = await addressOf('shop')
    const host = `cart.${address}.sslip.io`
    await apply(`apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: cart }
spec:
  rules:
    - host: ${host}
      http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: cart, port: { number: 80 } } } }] }
`)
    const at = await target(address, host)
    await eventually('it answers', async () => {
      const answer = await ask(at)
      return 'body' in answer && answer.body === 'cart'
    })
  })
})

describe('under load', () => {
  test('a rolling update and a scale-down lose no request', async () => {
    const at = await target(await addressOf('shop'), 'shop.example')
    const load = startHttpLoad(at, 16)
    try {
      await wherry.mustKubectl('rollout restart deployment/shop')
      await wherry.mustKubectl('rollout status deployment/shop --timeout=120s')
      await wherry.mustKubectl('scale deployment/shop --replicas=1')
      await eventually(
        'two pods are gone',
        async () =>
          (await wherry.mustKubectl('get pods -l app=shop -o name')).trim().split('\n').length ===
          1,
        60_000,
      )
      const before = load.answered()
      await eventually('the last one serves', async () => load.answered() > before + 200)
    } finally {
      await load.stop()
    }
    expect(load.failures).toEqual([])
    expect([...load.bodies.keys()]).toEqual(['shop'])
    expect(load.answered()).toBeGreaterThan(1000)
  })

  test('with the last Ingress goes everything', async () => {
    await wherry.mustKubectl('delete ingress --all')
    const { gcloud, project } = wherry.ready
    const list = async (path: string): Promise<unknown> => {
      const answer = await fetch(
        `${gcloud.replace(/\/$/, '')}/compute/v1/projects/${project}/${path}`,
      )
      const { items } = (await answer.json()) as { items?: unknown }
      return items
    }
    for (const path of [
      'global/forwardingRules',
      'global/targetHttpProxies',
      'global/urlMaps',
      'global/backendServices',
      'global/healthChecks',
      'global/addresses',
    ]) {
      await eventually(`no ${path}`, async () => {
        const items = await list(path)
        return Array.isArray(items) && items.length === 0
      })
    }
  })
})
