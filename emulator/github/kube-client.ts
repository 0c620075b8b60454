// Speaks to the cluster of a kubeconfig, for the small programs that set up a deploy.

import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { parse } from 'yaml'

export interface KubeClient {
  /** `https://127.0.0.1:16443`, or with a cluster's path. */
  server: string
  token: string
  /** Resolves with status and body, whatever the status. */
  request(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }>
}

interface Kubeconfig {
  'current-context'?: string
  contexts?: { name: string; context: { cluster: string; user: string } }[]
  clusters?: {
    name: string
    cluster: { server: string; 'certificate-authority-data'?: string }
  }[]
  users?: { name: string; user: { token?: string } }[]
}

const ANSWER_MS = 20_000

/** A client for the current context. Error: a text that says what the file lacks. */
export function openKubeClient(file: string, token?: string): KubeClient {
  const config = parse(readFileSync(file, 'utf8')) as Kubeconfig
  const context = config.contexts?.find(({ name }) => name === config['current-context'])?.context
  const cluster = config.clusters?.find(({ name }) => name === context?.cluster)?.cluster
  const user = config.users?.find(({ name }) => name === context?.user)?.user
  const bearer = token ?? user?.token
  if (!cluster) throw new Error(`${file} has no current context`)
  if (!bearer) {
    throw new Error(
      `${file} holds no token: give one, e.g. --token "$(gcloud auth print-access-token)"`,
    )
  }
  const ca = cluster['certificate-authority-data']
  const agent = new Agent(ca ? { ca: Buffer.from(ca, 'base64') } : {})
  return {
    server: cluster.server,
    token: bearer,
    request: (method, path, body) =>
      new Promise((resolve, reject) => {
        const call = request(`${cluster.server}${path}`, {
          method,
          agent,
          timeout: ANSWER_MS,
          headers: {
            authorization: `Bearer ${bearer}`,
            'content-type':
              method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
          },
        })
        call.on('error', reject)
        call.on('timeout', () => call.destroy(new Error(`no answer in ${ANSWER_MS / 1000} s`)))
        call.on('response', (response) => {
          let text = ''
          response.on('data', (chunk: Buffer) => (text += chunk.toString()))
          response.on('error', reject)
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }),
          )
        })
        call.end(body === undefined ? undefined : JSON.stringify(body))
      }),
  }
}
