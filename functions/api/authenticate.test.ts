import { generateKeyPair, SignJWT, createLocalJWKSet, exportJWK, type CryptoKey } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import type { NodePool } from '#shared/api/node-pool.ts'
import { createAuthenticator, type VmTrust } from './authenticate.ts'
import type { Authenticate, Identity } from './deps.ts'

const admin: Identity = { user: 'admin', groups: ['system:masters'] }
const ISSUER = 'https://accounts.google.com'
const AUDIENCE = 'https://wherry.example'

let privateKey: CryptoKey
let otherKey: CryptoKey
let authenticate: Authenticate

function pool(instances: { name: string; id: string }[]): NodePool {
  return {
    apiVersion: 'container.wherry.dev/v1',
    kind: 'NodePool',
    metadata: { name: 'default-pool', uid: 'u', creationTimestamp: '2026-11-22T00:00:00Z' },
    spec: {
      nodeCount: 1,
      zone: 'us-east1-c',
      machineType: 'e2-small',
      diskSizeGb: 10,
      spot: false,
    },
    status: {
      instances: instances.map((instance) => ({
        ...instance,
        status: 'RUNNING',
        creationTimestamp: '2026-11-22T00:00:00Z',
      })),
    },
  }
}

beforeAll(async () => {
  const pair = await generateKeyPair('RS256')
  privateKey = pair.privateKey
  otherKey = (await generateKeyPair('RS256')).privateKey
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k', alg: 'RS256' }
  const vm: VmTrust = {
    issuer: ISSUER,
    audience: AUDIENCE,
    project: 'p',
    keys: createLocalJWKSet({ keys: [jwk] }),
    read: async (cluster) => ({
      version: '7',
      list: () => (cluster === 'c' ? [pool([{ name: 'vm-1', id: '42' }])] : []),
    }),
  }
  authenticate = createAuthenticator({ staticTokens: [{ token: 's3cret', identity: admin }], vm })
})

interface Overrides {
  engine?: Record<string, unknown>
  audience?: string
  issuer?: string
  expires?: string
  key?: CryptoKey
}

function vmToken(over: Overrides = {}): Promise<string> {
  const engine = {
    project_id: 'p',
    zone: 'us-east1-c',
    instance_id: '42',
    instance_name: 'vm-1',
    instance_creation_timestamp: 1_795_305_600,
    ...over.engine,
  }
  return new SignJWT({ google: { compute_engine: engine } })
    .setProtectedHeader({ alg: 'RS256', kid: 'k' })
    .setIssuer(over.issuer ?? ISSUER)
    .setAudience(over.audience ?? AUDIENCE)
    .setIssuedAt()
    .setExpirationTime(over.expires ?? '1h')
    .sign(over.key ?? privateKey)
}

describe('static tokens', () => {
  it('names whom a token belongs to, and nobody for another', async () => {
    expect(await authenticate('s3cret')).toBe(admin)
    expect(await authenticate('s3cre')).toBeUndefined()
    expect(await authenticate('')).toBeUndefined()
  })

  it('never lets an empty token in', async () => {
    const open = createAuthenticator({ staticTokens: [{ token: '', identity: admin }] })
    expect(await open('')).toBeUndefined()
  })
})

describe('VM identity tokens', () => {
  it('names the node of a VM that the cluster lists', async () => {
    expect(await authenticate(await vmToken(), { cluster: 'c' })).toEqual({
      user: 'system:node:vm-1',
      groups: ['system:nodes', 'system:authenticated'],
      clusters: ['c'],
      node: { cluster: 'c', name: 'vm-1', instanceId: '42' },
      seen: '7',
    })
  })

  it.each<[string, Overrides]>([
    ['another instance of the same name', { engine: { instance_id: '43' } }],
    ['an instance that is not listed', { engine: { instance_name: 'vm-2' } }],
    [
      'the same instance made at another time',
      { engine: { instance_creation_timestamp: 1_795_000_000 } },
    ],
    ['another project', { engine: { project_id: 'q' } }],
    ['another zone', { engine: { zone: 'europe-west1-b' } }],
    ['another audience', { audience: 'https://elsewhere.example' }],
    ['another issuer', { issuer: 'https://evil.example' }],
    ['an expired token', { expires: '-2m' }],
    ['missing claims', { engine: { instance_id: undefined } }],
  ])('refuses %s', async (_, over) => {
    expect(await authenticate(await vmToken(over), { cluster: 'c' })).toBeUndefined()
  })

  it('refuses another key, another cluster and what is no token', async () => {
    const forged = await vmToken({ key: otherKey })
    expect(await authenticate(forged, { cluster: 'c' })).toBeUndefined()
    expect(await authenticate(await vmToken(), { cluster: 'd' })).toBeUndefined()
    expect(await authenticate(await vmToken())).toBeUndefined()
    expect(await authenticate('a.b.c', { cluster: 'c' })).toBeUndefined()
  })
})
