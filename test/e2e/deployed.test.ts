// The bundles as they are deployed: each function in a process of its own, under functions-framework,
// started from its folder, against the official emulators. Only Google's signatures are a stand-in's.

import { execFile, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { PubSub } from '@google-cloud/pubsub'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bundle, ROOT, type Bundle } from '../../infra/bundle.ts'
import { FUNCTIONS, type FunctionName } from '#functions/environment.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import { startDeployed, type DeployedFunction } from '#test/deployed.ts'
import { startGoogleDouble, type GoogleDouble } from '#test/support/google-double.ts'

const FIRESTORE = process.env['FIRESTORE_EMULATOR_HOST']
const PUBSUB = process.env['PUBSUB_EMULATOR_HOST']
const HAS_GCLOUD = spawnSync('gcloud', ['version']).status === 0
const PROJECT = `wherry-deployed-${process.pid}`
const DIST = join(ROOT, 'dist', `deployed-${process.pid}`)
const INVOKER = `invoker@${PROJECT}.iam.gserviceaccount.com`
const ADMIN = 'ya29.admin'
const ownUrl = (name: FunctionName): string => `https://wherry-${name}-1.us-east1.run.app`

let google: GoogleDouble
let pubsub: PubSub
const bundles = new Map<FunctionName, Bundle>()
const running = new Map<FunctionName, DeployedFunction>()

/** The variables of every function, as infra/terraform sets them. */
const environment = (name: FunctionName): Record<string, string> => ({
  FIRESTORE_EMULATOR_HOST: FIRESTORE ?? '',
  PUBSUB_EMULATOR_HOST: PUBSUB ?? '',
  WHERRY_GOOGLE_DOUBLE: google.url,
  WHERRY_PROJECT: PROJECT,
  WHERRY_REGION: 'us-east1',
  WHERRY_API_URL: ownUrl('api'),
  WHERRY_OWN_URL: ownUrl(name),
  WHERRY_INVOKER: INVOKER,
  WHERRY_QUEUE: 'wherry',
  WHERRY_TIMER_ACCOUNT: INVOKER,
  WHERRY_NETWORK: 'wherry',
  WHERRY_SUBNETWORK: 'wherry',
  WHERRY_POD_RANGE: 'pods',
  WHERRY_NODE_ACCOUNT: INVOKER,
  WHERRY_AGENT_IMAGE: `us-docker.pkg.dev/demo/wherry-agent/agent@sha256:${'0'.repeat(64)}`,
})

function at(name: FunctionName): string {
  return running.get(name)?.url ?? ''
}

async function push(
  name: FunctionName,
  message: { attributes: Record<string, string>; data?: string },
  token?: string,
): Promise<number> {
  const signed = token ?? (await google.pushToken(ownUrl(name), INVOKER))
  const response = await fetch(at(name), {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${signed}` },
    body: JSON.stringify({
      subscription: `projects/${PROJECT}/subscriptions/wherry-${name}`,
      message: {
        messageId: '1',
        publishTime: '2026-11-22T00:00:00Z',
        attributes: message.attributes,
        data: btoa(message.data ?? '{}'),
      },
    }),
  })
  await response.text()
  return response.status
}

async function ask(path: string, body?: unknown): Promise<Record<string, unknown>> {
  const response = await fetch(`${at('api')}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${ADMIN}` },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const answer = (await response.json()) as Record<string, unknown>
  expect(response.status, `${path}: ${JSON.stringify(answer)}`).toBeLessThan(300)
  return answer
}

describe.skipIf(!FIRESTORE || !PUBSUB)('the functions as deployed', () => {
  beforeAll(async () => {
    google = await startGoogleDouble()
    google.people.set(ADMIN, {
      email: 'ada@example.com',
      permissions: ['container.clusters.get', 'container.clusters.update'],
    })
    pubsub = new PubSub({ projectId: PROJECT })
    for (const topic of Object.values(TOPICS)) await pubsub.createTopic(topic)
    for (const name of FUNCTIONS) {
      const made = await bundle(name, DIST)
      bundles.set(name, made)
      running.set(name, await startDeployed(name, made.dir, environment(name)))
    }
  }, 180_000)

  afterAll(async () => {
    for (const each of running.values()) await each.stop()
    await pubsub?.close()
    await google?.close()
    rmSync(DIST, { recursive: true, force: true })
  })

  it('the api answers health to everybody and nothing else without a token', async () => {
    expect((await fetch(`${at('api')}/healthz`)).status).toBe(200)
    for (const path of [
      '/clusters/c-x/api/v1/pods',
      `/v1/projects/${PROJECT}/locations/-/clusters`,
    ])
      expect((await fetch(`${at('api')}${path}`)).status, path).toBe(401)
  })

  it.each(['reconcile', 'cloud', 'signals', 'sweep'] as const)(
    '%s takes deliveries only with a token for itself',
    async (name) => {
      expect(running.get(name)?.firstStatus).toBe(401)
      const message = { attributes: { cluster: 'c-none' } }
      const forged = await google.sign({
        audience: ownUrl(name),
        claims: { email: INVOKER, email_verified: true },
        isForged: true,
      })
      expect(await push(name, message, forged)).toBe(401)
      const other = await google.pushToken(ownUrl('api'), INVOKER)
      expect(await push(name, message, other)).toBe(401)
      const stranger = await google.pushToken(ownUrl(name), `x${INVOKER}`)
      expect(await push(name, message, stranger)).toBe(401)
    },
  )

  it('a Deployment that came through the api is rolled out by a delivery to reconcile', async () => {
    const place = `/v1/projects/${PROJECT}/locations/us-east1-c/clusters`
    await ask(place, { cluster: { name: 'test-cluster', initialNodeCount: 1 } })
    const { endpoint } = await ask(`${place}/test-cluster`)
    const cluster = /\/clusters\/(c-\w+)$/.exec(String(endpoint))?.[1] ?? ''
    const apps = `/clusters/${cluster}/apis/apps/v1/namespaces/default`
    await ask(`${apps}/deployments`, {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web' },
      spec: {
        replicas: 2,
        selector: { matchLabels: { app: 'web' } },
        template: {
          metadata: { labels: { app: 'web' } },
          spec: { containers: [{ name: 'web', image: 'web' }] },
        },
      },
    })
    expect(await push('reconcile', { attributes: { cluster } })).toBe(204)
    const { items } = await ask(`/clusters/${cluster}/api/v1/namespaces/default/pods`)
    expect(items).toHaveLength(2)
  })

  it.skipIf(!HAS_GCLOUD)(
    'real gcloud lists clusters and writes a kubeconfig that checks certificates',
    async () => {
      const dir = mkdtempSync(join(tmpdir(), 'wherry-gcloud-'))
      const kubeconfig = join(dir, 'kubeconfig')
      const gcloud = (...args: string[]) =>
        promisify(execFile)('gcloud', ['container', 'clusters', ...args], {
          env: {
            ...process.env,
            CLOUDSDK_CONFIG: dir,
            KUBECONFIG: kubeconfig,
            CLOUDSDK_CORE_PROJECT: PROJECT,
            CLOUDSDK_CORE_CHECK_GCE_METADATA: 'false',
            CLOUDSDK_CORE_DISABLE_PROMPTS: '1',
            CLOUDSDK_METRICS_ENVIRONMENT: 'local',
            CLOUDSDK_AUTH_ACCESS_TOKEN: ADMIN,
            CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER: `${at('api')}/`,
            CLOUDSDK_API_ENDPOINT_OVERRIDES_SERVICEUSAGE: `${at('api')}/`,
          },
        })
      try {
        const { stdout } = await gcloud('list')
        expect(stdout).toMatch(
          /^test-cluster +us-east1-c .* wherry-api-1\.us-east1\.run\.app\/clusters\/c-/m,
        )
        await gcloud('get-credentials', 'test-cluster', '--zone=us-east1-c')
        const config = readFileSync(kubeconfig, 'utf8')
        expect(config).toMatch(
          /server: https:\/\/wherry-api-1\.us-east1\.run\.app\/clusters\/c-\w+$/m,
        )
        expect(config).not.toMatch(/insecure-skip-tls-verify|certificate-authority/)
      } finally {
        rmSync(dir, { recursive: true, force: true })
      }
    },
  )

  it('connections that leave HTTP reach the one who takes them', async () => {
    const upgrade = async (token: string): Promise<number | undefined> => {
      const call = request(
        `${at('api')}/clusters/c-none/api/v1/namespaces/d/pods/p/exec?command=a`,
        {
          headers: {
            authorization: `Bearer ${token}`,
            connection: 'Upgrade',
            upgrade: 'websocket',
            'sec-websocket-key': btoa('0123456789abcdef'),
            'sec-websocket-version': '13',
            'sec-websocket-protocol': 'v5.channel.k8s.io',
          },
        },
      )
      call.end()
      const [response] = await once(call, 'response')
      response.resume()
      return response.statusCode
    }
    // A request that nobody takes over would be answered 400 (Upgrade request required).
    expect(await upgrade('nobody')).toBe(401)
    expect(await upgrade(ADMIN)).toBe(403)
  })

  it('signals and sweep acknowledge what they are given', async () => {
    const entry = {
      resource: { type: 'gce_instance' },
      protoPayload: {
        methodName: 'compute.instances.hostError',
        resourceName: `projects/${PROJECT}/zones/us-east1-c/instances/gke-a-b-12345678-abcd`,
      },
    }
    expect(await push('signals', { attributes: {}, data: JSON.stringify(entry) })).toBe(204)
    expect(await push('sweep', { attributes: {} })).toBe(204)
  })

  it('a delivery that can never be handled is acknowledged', async () => {
    const token = await google.pushToken(ownUrl('reconcile'), INVOKER)
    const response = await fetch(at('reconcile'), {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
      body: '{"nothing":true}',
    })
    expect(response.status).toBe(204)
  })

  it('says which variable is missing', async () => {
    const { WHERRY_QUEUE: _, ...env } = environment('sweep')
    const lame = await startDeployed('sweep', bundles.get('sweep')?.dir ?? '', env)
    expect(lame.firstStatus).toBe(500)
    expect(lame.output()).toContain('WHERRY_QUEUE is not set (the Cloud Tasks queue)')
    await lame.stop()
  })

  it('loads no client that it does not need, and prints no token', async () => {
    for (const name of ['api', 'reconcile', 'signals', 'sweep'] as const) {
      const deployed = running.get(name)
      expect(deployed?.output()).not.toMatch(/eyJ|ya29/)
      const packages = await deployed?.stop()
      running.delete(name)
      expect(packages, name).toContain('@google-cloud/firestore')
      expect(packages, name).not.toContain('@google-cloud/compute')
      expect(Object.keys(bundles.get(name)?.packages ?? {})).not.toContain('@google-cloud/compute')
    }
    expect(Object.keys(bundles.get('cloud')?.packages ?? {})).toContain('@google-cloud/compute')
  })
})
