// What real kubectl sends in protobuf is the object that the same kubectl prints as JSON.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import protobuf from 'protobufjs/minimal.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { prune } from '#shared/api/schema/prune.ts'
import { schemaOf } from '#shared/api/schema/schema.ts'
import { StatusError } from '#shared/status.ts'
import { kubectl, runClient } from '#test/clients.ts'
import { startRecordingServer, type RecordingServer } from '#test/recording-server.ts'
import { decodeProtobuf } from './protobuf.ts'

const PROTOBUF = 'application/vnd.kubernetes.protobuf'

const KINDS = (
  [
    ['', 'v1', 'ConfigMap', 'configmaps', true],
    ['', 'v1', 'Secret', 'secrets', true],
    ['', 'v1', 'Service', 'services', true],
    ['', 'v1', 'ServiceAccount', 'serviceaccounts', true, ['token']],
    ['', 'v1', 'Namespace', 'namespaces', false],
    ['', 'v1', 'ResourceQuota', 'resourcequotas', true],
    ['', 'v1', 'Pod', 'pods', true],
    ['apps', 'v1', 'Deployment', 'deployments', true],
    ['batch', 'v1', 'Job', 'jobs', true],
    ['batch', 'v1', 'CronJob', 'cronjobs', true],
    ['networking.k8s.io', 'v1', 'Ingress', 'ingresses', true],
    ['policy', 'v1', 'PodDisruptionBudget', 'poddisruptionbudgets', true],
    ['rbac.authorization.k8s.io', 'v1', 'Role', 'roles', true],
    ['rbac.authorization.k8s.io', 'v1', 'RoleBinding', 'rolebindings', true],
    ['rbac.authorization.k8s.io', 'v1', 'ClusterRole', 'clusterroles', false],
    ['rbac.authorization.k8s.io', 'v1', 'ClusterRoleBinding', 'clusterrolebindings', false],
    ['scheduling.k8s.io', 'v1', 'PriorityClass', 'priorityclasses', false],
  ] satisfies [string, string, string, string, boolean, string[]?][]
).map(([group, version, kind, plural, isNamespaced, subresources]) => ({
  group,
  version,
  kind,
  plural,
  isNamespaced,
  subresources: subresources ?? [],
}))

const COMMANDS = [
  'deployment web --image=nginx:1.27 --replicas=2 --port=8080',
  'deployment none --image=nginx --replicas=0',
  'deployment two --image=nginx --image=redis',
  'configmap empty',
  'configmap c --from-literal=a=1 --from-literal=b=zwei',
  'secret generic s --from-literal=password=hunter2',
  'secret generic typed --type=example.com/kind --from-literal=a=b',
  'secret docker-registry d --docker-username=u --docker-password=p --docker-server=r.example.com',
  'service clusterip a --tcp=80:8080',
  'service clusterip headless --clusterip=None',
  'service nodeport b --tcp=80:8080 --node-port=30080',
  'service loadbalancer c --tcp=80:http',
  'service externalname d --external-name=example.com',
  'namespace n',
  'serviceaccount sa',
  'job j --image=busybox -- echo hello',
  'cronjob cj --image=busybox --schedule=@daily -- date',
  'role r --verb=get,list --resource=pods,services',
  'rolebinding rb --role=r --serviceaccount=default:sa',
  'clusterrole cr --verb=get --non-resource-url=/healthz',
  'clusterrole agg --aggregation-rule=a=b',
  'clusterrolebinding crb --clusterrole=cr --user=ada --group=ops',
  'quota q --hard=cpu=1,memory=1Gi,pods=2 --scopes=BestEffort',
  'pdb p1 --selector=app=web --min-available=50%',
  'pdb p2 --selector=app=web --max-unavailable=0',
  'priorityclass zero --value=0 --description=nothing',
  'priorityclass pc --value=1000 --global-default=true --preemption-policy=Never',
  'ingress i --class=default --rule=foo.com/bar*=svc:80,tls=cert --annotation=a=b',
  'ingress catch --default-backend=svc:http',
]

const home = mkdtempSync(join(tmpdir(), 'wherry-protobuf-'))
let server: RecordingServer

beforeAll(async () => {
  server = await startRecordingServer(KINDS, (request) => {
    if (request.contentType !== PROTOBUF) return undefined
    if (request.method === 'DELETE')
      return { code: 200, body: { kind: 'Status', status: 'Success' } }
    const { object } = decodeProtobuf(request.body)
    return { code: 201, body: { ...object, status: { token: 'token' } } }
  })
})
afterAll(async () => {
  await server.close()
  rmSync(home, { recursive: true })
})

async function sent(version: '1.35' | '1.32', args: string[]): Promise<Buffer> {
  const before = server.requests.length
  const result = await runClient(kubectl(version), ['--server', server.url, ...args], { home })
  const request = server.requests.slice(before).find((each) => each.contentType === PROTOBUF)
  if (!request) throw new Error(`nothing was sent in protobuf: ${result.stdout}${result.stderr}`)
  expect(result).toMatchObject({ code: 0, stderr: '' })
  return request.body
}

describe.each(['1.35', '1.32'] as const)('kubectl %s', (version) => {
  test.for(COMMANDS)('create %s', async (command) => {
    const args = ['create', ...command.split(' ')]
    const flags = ['--dry-run=client', '-o', 'json', '-n', 'default']
    // The flags stand before a `--`, after which they would be the container's.
    const printed = await runClient(
      kubectl(version),
      ['--server', server.url, ...args.slice(0, 3), ...flags, ...args.slice(3)],
      { home },
    )
    const decoded = decodeProtobuf(
      await sent(version, [...args.slice(0, 3), '-n', 'default', ...args.slice(3)]),
    )
    const slash = decoded.apiVersion.indexOf('/')
    const schema = schemaOf(
      decoded.apiVersion.slice(0, Math.max(slash, 0)),
      decoded.apiVersion.slice(slash + 1),
      decoded.kind,
    )
    const expected: unknown = JSON.parse(printed.stdout)
    if (!schema || typeof expected !== 'object' || expected === null) throw new Error('no schema')
    expect(decoded.object).toEqual(prune(expected, schema))
  })
})

test('reviews and token requests are decoded', async () => {
  await runClient(
    kubectl(),
    ['--server', server.url, 'auth', 'can-i', 'create', 'pods', '--subresource=exec', '-n', 'n'],
    { home },
  )
  const review = server.requests.find((each) => each.path.endsWith('/selfsubjectaccessreviews'))
  expect(decodeProtobuf(review?.body ?? Buffer.alloc(0))).toMatchObject({
    kind: 'SelfSubjectAccessReview',
    object: {
      spec: {
        resourceAttributes: {
          namespace: 'n',
          verb: 'create',
          resource: 'pods',
          subresource: 'exec',
        },
      },
    },
  })
  await sent('1.35', [
    'create',
    'token',
    'sa',
    '--duration=1h',
    '--bound-object-kind=Pod',
    '--bound-object-name=p',
  ])
  expect(decodeProtobuf(server.requests.at(-1)?.body ?? Buffer.alloc(0)).object).toEqual({
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {
      expirationSeconds: 3600,
      boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'p' },
    },
    status: { token: '' },
  })
})

/** The envelope around a message's bytes. */
function body(apiVersion: string, kind: string, raw: Uint8Array): Uint8Array {
  const writer = protobuf.Writer.create()
  writer.uint32(0x0a).fork().uint32(0x0a).string(apiVersion).uint32(0x12).string(kind).ldelim()
  writer.uint32(0x12).bytes(raw)
  return Buffer.concat([Buffer.from('k8s\0'), writer.finish()])
}

test('DeleteOptions: an explicit zero grace period is kept', () => {
  const raw = protobuf.Writer.create()
  raw.uint32(0x08).int64(0).uint32(0x22).string('Background').uint32(0x2a).string('All')
  expect(decodeProtobuf(body('policy/v1', 'DeleteOptions', raw.finish())).object).toEqual({
    apiVersion: 'policy/v1',
    kind: 'DeleteOptions',
    gracePeriodSeconds: 0,
    propagationPolicy: 'Background',
    dryRun: ['All'],
  })
})

test('times and what stands in them', () => {
  const at = protobuf.Writer.create()
  at.uint32(0x08).int64(1_800_000_000).uint32(0x10).int32(123_456_000)
  const meta = protobuf.Writer.create()
  meta.uint32(0x0a).string('l').uint32(0x42).bytes(new Uint8Array())
  const spec = protobuf.Writer.create()
  spec.uint32(0x0a).string('me').uint32(0x10).int32(0).uint32(0x22).bytes(at.finish())
  const lease = protobuf.Writer.create()
  lease.uint32(0x0a).bytes(meta.finish()).uint32(0x12).bytes(spec.finish())
  // fields of a newer version are skipped
  lease.uint32((99 << 3) | 2).string('new')
  expect(decodeProtobuf(body('coordination.k8s.io/v1', 'Lease', lease.finish())).object).toEqual({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'l' },
    spec: {
      holderIdentity: 'me',
      leaseDurationSeconds: 0,
      renewTime: '2027-01-15T08:00:00.123456Z',
    },
  })
})

describe("damaged bodies are the client's fault", () => {
  const badRequest = (bytes: Uint8Array): void => {
    try {
      decodeProtobuf(bytes)
    } catch (error) {
      expect(error).toBeInstanceOf(StatusError)
      expect(error).toMatchObject({ reason: 'BadRequest' })
    }
  }

  test('no magic, an unknown kind, a wrong wire type', () => {
    expect(() => decodeProtobuf(Buffer.from('{}'))).toThrow('expected prefix [107 56 115 0]')
    expect(() => decodeProtobuf(body('v1', 'Nothing', new Uint8Array()))).toThrow(
      'no kind "Nothing" is registered for version "v1"',
    )
    expect(() => decodeProtobuf(body('v1', 'ConfigMap', Uint8Array.of(0x08, 0x01)))).toThrow(
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: proto: wrong wireType = 0',
    )
    expect(() => decodeProtobuf(body('v1', 'ConfigMap', Uint8Array.of(0x0a, 0x7f)))).toThrow(
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: proto: ',
    )
  })

  test('any bytes either decode or are a BadRequest', () => {
    fc.assert(
      fc.property(fc.constantFrom('Pod', 'Secret', 'Event', 'Node'), fc.uint8Array(), (kind, raw) =>
        badRequest(body('v1', kind, raw)),
      ),
      { numRuns: 2000 },
    )
  })

  test('any change to a real body likewise', async () => {
    const real = await sent('1.35', [
      'create',
      'ingress',
      'x',
      '--rule=foo.com/bar*=svc:80,tls=cert',
    ])
    fc.assert(
      fc.property(fc.nat(real.length - 1), fc.nat(255), (index, byte) => {
        const damaged = Buffer.from(real)
        damaged[index] = byte
        badRequest(damaged)
      }),
      { numRuns: 2000 },
    )
  })
})
