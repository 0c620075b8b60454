// What attack tests attack: two clusters of the api function as it stands in the cloud, with VMs, pods
// and Secrets that not everybody may see; and how to ask it and what a refusal looks like.

import { expect } from 'vitest'
import { ADMIN, CloudWorld, PROJECT, ZONE } from './cloud-world.ts'

export const CLUSTERS = `/v1/projects/${PROJECT}/locations/${ZONE}/clusters`
/** In Secrets that only others may see. */
export const MARKER = 'c3VwZXItc2VjcmV0'
export const DEFAULT = '/api/v1/namespaces/default'

export interface Attempt {
  method?: string
  /** Absent: that of the VM that was taken over. */
  token?: string
  body?: string | Buffer | ReadableStream<Uint8Array>
  headers?: Record<string, string>
}

export interface Answered {
  status: number
  text: string
  body: Record<string, unknown>
}

export interface Target {
  world: CloudWorld
  ids: { one: string; two: string }
  /** A VM of the first cluster that was taken over, and its token. */
  own: string
  token: string
  /** Another VM of the first cluster, and one of the second. */
  neighbour: string
  stranger: string
  ask: (path: string, attempt?: Attempt) => Promise<Answered>
  /** A path of a cluster's Kubernetes API. */
  at: (cluster: 'one' | 'two', path: string) => string
}

/** On each VM of the first cluster runs a pod with a Secret of its own: `mine` and `theirs`. */
export async function openTarget(): Promise<Target> {
  const world = await CloudWorld.open()
  const ids = { one: '', two: '' }
  for (const name of ['one', 'two'] as const) {
    await world.must('POST', CLUSTERS, { cluster: { name, initialNodeCount: 2 } })
    const { endpoint } = await world.must('GET', `${CLUSTERS}/${name}`)
    ids[name] = String(endpoint).split('/').at(-1) ?? ''
    await world.until('nodes', () => world.list(ids[name], 'nodes').length === 2)
  }
  const [own = '', neighbour = ''] = world.vms(ids.one)
  const [stranger = ''] = world.vms(ids.two)
  const token = await world.tokenOf(own)
  const at: Target['at'] = (cluster, path) => `/clusters/${ids[cluster]}${path}`
  for (const [name, node, key] of [
    ['mine', own, btoa('my own')],
    ['theirs', neighbour, MARKER],
  ]) {
    const env = [{ name: 'KEY', valueFrom: { secretKeyRef: { name, key: 'key' } } }]
    const spec = { nodeName: node, containers: [{ name: 'web', image: 'x', env }] }
    const metadata = { name }
    await world.must('POST', at('one', `${DEFAULT}/secrets`), { metadata, data: { key } })
    await world.must('POST', at('one', `${DEFAULT}/pods`), { metadata, spec })
  }
  await world.pass(10_000)
  const ask: Target['ask'] = (path, attempt = {}) => send(world, path, { token, ...attempt })
  return { world, ids, own, token, neighbour, stranger, ask, at }
}

async function send(
  world: CloudWorld,
  path: string,
  { token = ADMIN, headers, method = 'GET', body }: Attempt,
): Promise<Answered> {
  const response = await world.send(path, {
    method,
    ...(body === undefined ? {} : { body }),
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    ...(body instanceof ReadableStream ? { duplex: 'half' } : {}),
  })
  const text = await response.text()
  return { status: response.status, text, body: text.startsWith('{') ? JSON.parse(text) : {} }
}

/** The path of an agent's endpoint. */
export function agent(node: string, what: 'desired' | 'report'): string {
  return `/apis/agent.wherry.dev/v1/nodes/${node}/${what}`
}

/** A Kubernetes Status with one of these codes, and nothing of anybody's in it. */
export function expectStatus(answer: Answered, ...codes: number[]): void {
  expect(codes, answer.text.slice(0, 300)).toContain(answer.status)
  expect(answer.body).toMatchObject({ kind: 'Status', status: 'Failure', code: answer.status })
  expect(answer.text).not.toContain(MARKER)
  expect(answer.text.length).toBeLessThan(500_000)
}
