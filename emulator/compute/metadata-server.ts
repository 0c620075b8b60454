// Plays the metadata server of one VM (http://metadata.google.internal): who it is, what its template
// told it, and identity tokens that prove it. https://cloud.google.com/compute/docs/metadata/overview

import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Clock } from '#shared/ports/clock.ts'
import { parseTime } from '#shared/time.ts'
import type { IdentitySigner, VmClaims } from '../google/identity.ts'
import { nameOf } from './links.ts'
import type { Instance } from './state.ts'

export interface MetadataServer {
  /** `127.0.0.1:34567`, for GCE_METADATA_HOST. */
  host: string
  close(): Promise<void>
}

interface Options {
  project: string
  projectNumber: string
  clock: Clock
  identity: IdentitySigner
  /** The VM as it is now. */
  describe: () => Instance
  /** Google is taking it back. */
  isPreempted?: (() => boolean) | undefined
  /** Where to listen; default 127.0.0.1. */
  listenOn?: string
}

/** A value, or a folder of values. */
type Tree = string | { [key: string]: Tree }

interface Answer {
  status: number
  type: 'application/text' | 'application/json' | 'text/html'
  body: string
}

const ROOT = '/computeMetadata/v1/'
/** How often a waiting request looks whether something has changed. */
const WAIT_STEP_MS = 1000
const WAIT_MAX_SECONDS = 3600

/** Listens on a free port. */
export async function startMetadataServer(options: Options): Promise<MetadataServer> {
  const ended = new AbortController()
  const { listenOn: host = '127.0.0.1' } = options
  const server = createServer((request, response) => {
    answer(options, request, ended.signal).then(
      (result) => send(response, result),
      () => send(response, { status: 500, type: 'text/html', body: 'internal error\n' }),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port: 0 }, resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    host: `${host}:${address.port}`,
    close() {
      ended.abort()
      return new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    'content-type': type,
    'metadata-flavor': 'Google',
    server: 'Metadata Server for VM',
    etag: etagOf(body),
  })
  response.end(body)
}

async function answer(
  options: Options,
  request: IncomingMessage,
  ended: AbortSignal,
): Promise<Answer> {
  const url = new URL(request.url ?? '/', 'http://metadata')
  if (request.headers['metadata-flavor'] !== 'Google' || request.headers['x-forwarded-for']) {
    const body = 'Missing required header "Metadata-Flavor": "Google"\n'
    return { status: 403, type: 'text/html', body }
  }
  if (url.pathname === '/' || url.pathname === '/computeMetadata/') {
    return { status: 200, type: 'application/text', body: 'v1/\n' }
  }
  if (!`${url.pathname}/`.startsWith(ROOT)) return NOT_FOUND
  const path = url.pathname.slice(ROOT.length)
  const special = await serviceAccount(options, path, url.searchParams)
  if (special) return special
  const first = read(options, path, url.searchParams)
  if (url.searchParams.get('wait_for_change') !== 'true') return first
  return waitForChange(options, path, url.searchParams, first, ended)
}

async function waitForChange(
  options: Options,
  path: string,
  query: URLSearchParams,
  first: Answer,
  ended: AbortSignal,
): Promise<Answer> {
  const known = query.get('last_etag') ?? etagOf(first.body)
  const seconds = Number(query.get('timeout_sec') ?? WAIT_MAX_SECONDS)
  const until = options.clock.now() + Math.min(seconds, WAIT_MAX_SECONDS) * 1000
  let current = first
  while (etagOf(current.body) === known && options.clock.now() < until && !ended.aborted) {
    await options.clock.sleep(WAIT_STEP_MS, ended)
    current = read(options, path, query)
  }
  return current
}

const NOT_FOUND: Answer = { status: 404, type: 'text/html', body: 'not found\n' }

function read(options: Options, path: string, query: URLSearchParams): Answer {
  const parts = path.split('/').filter(Boolean)
  let at: Tree | undefined = treeOf(options)
  for (const part of parts) {
    at = typeof at === 'object' && Object.hasOwn(at, part) ? at[part] : undefined
  }
  if (at === undefined) return NOT_FOUND
  if (typeof at === 'string') return { status: 200, type: 'application/text', body: at }
  if (query.get('recursive') === 'true') {
    const body = JSON.stringify(camelCased(at, parts.at(-1) === 'attributes'))
    return { status: 200, type: 'application/json', body }
  }
  const names = Object.entries(at).map(([key, value]) =>
    typeof value === 'string' ? key : `${key}/`,
  )
  return { status: 200, type: 'application/text', body: names.map((name) => `${name}\n`).join('') }
}

function treeOf({ project, projectNumber, describe, isPreempted }: Options): Tree {
  const instance = describe()
  const zone = nameOf(instance.zone)
  const nic = instance.networkInterfaces[0]
  const account = { aliases: 'default\n', email: emailOf(projectNumber), scopes: `${SCOPE}\n` }
  return {
    instance: {
      attributes: Object.fromEntries(instance.metadata.items.map(({ key, value }) => [key, value])),
      'creation-timestamp': instance.creationTimestamp,
      hostname: `${instance.name}.${zone}.c.${project}.internal`,
      id: instance.id,
      'machine-type': `projects/${projectNumber}/machineTypes/${nameOf(instance.machineType)}`,
      'maintenance-event': 'NONE',
      name: instance.name,
      'network-interfaces': {
        '0': {
          'access-configs': {
            '0': { 'external-ip': nic?.accessConfigs[0]?.natIP ?? '', type: 'ONE_TO_ONE_NAT' },
          },
          ip: nic?.networkIP ?? '',
          'ip-aliases': { '0': nic?.aliasIpRanges[0]?.ipCidrRange ?? '' },
          network: `projects/${projectNumber}/networks/default`,
        },
      },
      preempted: isPreempted?.() ? 'TRUE' : 'FALSE',
      scheduling: {
        'automatic-restart': String(instance.scheduling.automaticRestart).toUpperCase(),
        'on-host-maintenance': instance.scheduling.onHostMaintenance,
        preemptible: String(instance.scheduling.preemptible).toUpperCase(),
      },
      'service-accounts': { default: account, [emailOf(projectNumber)]: account },
      zone: `projects/${projectNumber}/zones/${zone}`,
    },
    project: { 'numeric-project-id': projectNumber, 'project-id': project },
  }
}

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform'

function emailOf(projectNumber: string): string {
  return `${projectNumber}-compute@developer.gserviceaccount.com`
}

/** Tokens: made when asked for, never part of the tree. */
async function serviceAccount(
  options: Options,
  path: string,
  query: URLSearchParams,
): Promise<Answer | undefined> {
  const match = /^instance\/service-accounts\/[^/]+\/(identity|token)$/.exec(path)
  if (match?.[1] === 'token') {
    const token = { access_token: 'emulated-vm-token', expires_in: 3599, token_type: 'Bearer' }
    return { status: 200, type: 'application/json', body: JSON.stringify(token) }
  }
  if (!match) return undefined
  const audience = query.get('audience')
  if (!audience) {
    return { status: 400, type: 'text/html', body: 'non-empty audience parameter required\n' }
  }
  const isFull = query.get('format') === 'full'
  const body = await options.identity.sign(claimsOf(options), audience, isFull, options.clock.now())
  return { status: 200, type: 'text/html', body }
}

function claimsOf({ project, projectNumber, describe }: Options): VmClaims {
  const instance = describe()
  return {
    project,
    projectNumber,
    zone: nameOf(instance.zone),
    instanceId: instance.id,
    instanceName: instance.name,
    instanceCreationTimestamp: Math.floor((parseTime(instance.creationTimestamp) ?? 0) / 1000),
    email: emailOf(projectNumber),
  }
}

/** JSON answers have camelCase names, lists for numbered folders, and attributes as they are. */
function camelCased(tree: Tree, isAttributes: boolean): unknown {
  if (typeof tree === 'string') return tree
  const entries = Object.entries(tree)
  if (entries.length > 0 && entries.every(([key]) => /^\d+$/.test(key))) {
    return entries.map(([, value]) => camelCased(value, false))
  }
  return Object.fromEntries(
    entries.map(([key, value]) => [
      isAttributes ? key : key.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      camelCased(value, key === 'attributes'),
    ]),
  )
}

function etagOf(body: string): string {
  return createHash('sha256').update(body).digest('hex').slice(0, 16)
}
