// The metadata server as agents and Google's libraries ask it, and tokens as the api checks them.

import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  createIdentitySigner,
  GOOGLE_ISSUER,
  type IdentitySigner,
} from '#emulator/google/identity.ts'
import { createSystemClock } from '#functions/adapters/system-clock.ts'
import { anInstance } from '#test/support/an-instance.ts'
import { metadataOf } from './instance-properties.ts'
import { startMetadataServer, type MetadataServer } from './metadata-server.ts'

const vm = anInstance({
  metadata: metadataOf([
    { key: 'wherry-cluster', value: 'c-1' },
    { key: 'wherry-api-ca', value: '' },
  ]),
})
let dir: string
let identity: IdentitySigner
let server: MetadataServer

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'wherry-metadata-'))
  identity = await createIdentitySigner(join(dir, 'identity.pem'))
  server = await startMetadataServer({
    project: 'demo',
    projectNumber: '1234',
    clock: createSystemClock(),
    identity,
    describe: () => vm,
  })
})
afterAll(async () => {
  await server.close()
  rmSync(dir, { recursive: true })
})

const ask = (path: string, headers: Record<string, string> = { 'metadata-flavor': 'Google' }) =>
  fetch(`http://${server.host}/computeMetadata/v1/${path}`, { headers })

test.each<[string, string]>([
  ['instance/id', '1795365137000000007'],
  ['instance/name', 'vm-1'],
  ['instance/zone', 'projects/1234/zones/us-east1-c'],
  ['instance/hostname', 'vm-1.us-east1-c.c.demo.internal'],
  ['instance/machine-type', 'projects/1234/machineTypes/e2-medium'],
  ['instance/network-interfaces/0/ip', '10.128.0.5'],
  ['instance/network-interfaces/0/ip-aliases/0', '10.4.5.0/24'],
  ['instance/network-interfaces/0/access-configs/0/external-ip', '127.0.2.5'],
  ['instance/attributes/wherry-cluster', 'c-1'],
  ['instance/attributes/wherry-api-ca', ''],
  ['instance/attributes/', 'wherry-cluster\nwherry-api-ca\n'],
  ['instance/service-accounts/default/email', '1234-compute@developer.gserviceaccount.com'],
  ['project/project-id', 'demo'],
  ['project/numeric-project-id', '1234'],
])('%s', async (path, expected) => {
  const response = await ask(path)
  expect(response.status).toBe(200)
  expect(response.headers.get('metadata-flavor')).toBe('Google')
  expect(await response.text()).toBe(expected)
})

test('recursive answers are JSON, with attributes as they are', async () => {
  const instance = await (await ask('instance/?recursive=true')).json()
  expect(instance).toMatchObject({
    attributes: { 'wherry-cluster': 'c-1' },
    machineType: 'projects/1234/machineTypes/e2-medium',
    networkInterfaces: [{ ip: '10.128.0.5', ipAliases: ['10.4.5.0/24'] }],
  })
  const attributes = await (await ask('instance/attributes/?recursive=true')).json()
  expect(attributes).toEqual({ 'wherry-cluster': 'c-1', 'wherry-api-ca': '' })
})

test('what is not there is 404', async () => {
  expect((await ask('instance/attributes/nothing')).status).toBe(404)
  expect((await ask('instance/attributes/constructor')).status).toBe(404)
  expect(
    (await fetch(`http://${server.host}/latest`, { headers: { 'metadata-flavor': 'Google' } }))
      .status,
  ).toBe(404)
})

test.each<Record<string, string>>([
  {},
  { 'metadata-flavor': 'Google', 'x-forwarded-for': '10.4.1.1' },
])(
  'a request with %j is refused: a pod that was made to fetch a URL must learn nothing',
  async (headers) => {
    expect((await ask('instance/id', headers)).status).toBe(403)
  },
)

test('a change ends a wait for it', async () => {
  const first = await ask('instance/attributes/wherry-cluster')
  const etag = first.headers.get('etag')
  const waiting = ask(
    `instance/attributes/wherry-cluster?wait_for_change=true&last_etag=${etag}&timeout_sec=20`,
  )
  vm.metadata = metadataOf([{ key: 'wherry-cluster', value: 'c-2' }])
  expect(await (await waiting).text()).toBe('c-2')
})

test('an identity token proves to the api function which VM it is', async () => {
  const path = 'instance/service-accounts/default/identity?audience=https://wherry&format=full'
  const token = await (await ask(path)).text()
  const { payload } = await jwtVerify(token, createLocalJWKSet(identity.jwks), {
    algorithms: ['RS256'],
    issuer: GOOGLE_ISSUER,
    audience: 'https://wherry',
  })
  expect(payload).toMatchObject({
    email: '1234-compute@developer.gserviceaccount.com',
    email_verified: true,
    google: {
      compute_engine: {
        project_id: 'demo',
        project_number: 1234,
        zone: 'us-east1-c',
        instance_id: '1795365137000000007',
        instance_name: 'vm-1',
        instance_creation_timestamp: 1795365137,
      },
    },
  })
  expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(3600)
})

test('without format=full it names no VM, without an audience it is refused', async () => {
  const path = 'instance/service-accounts/default/identity'
  expect(decodeJwt(await (await ask(`${path}?audience=a`)).text())).not.toHaveProperty('google')
  expect((await ask(path)).status).toBe(400)
})

test('the key pair outlives a restart, and is the owner’s alone', async () => {
  const file = join(dir, 'identity.pem')
  const again = await createIdentitySigner(file)
  expect(again.jwks).toEqual(identity.jwks)
  expect(statSync(file).mode & 0o777).toBe(0o600)
})
