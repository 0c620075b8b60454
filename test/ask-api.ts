// One plain request to a cluster's API, with the credentials of a kubeconfig: for what kubectl would
// hide (it repeats a 503 by itself).

import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { parse } from 'yaml'

export interface ApiAnswer {
  status: number
  retryAfter: string | undefined
  body: unknown
  tookMs: number
}

interface Kubeconfig {
  clusters: { cluster: { server: string; 'certificate-authority-data': string } }[]
  users: { user: { token: string } }[]
}

/** GETs the path from the kubeconfig's first cluster as its first user. */
export function askApi(kubeconfigPath: string, path: string): Promise<ApiAnswer> {
  const { clusters, users }: Kubeconfig = parse(readFileSync(kubeconfigPath, 'utf8'))
  const cluster = clusters[0]?.cluster
  const startedAt = Date.now()
  return new Promise((resolve, reject) => {
    const call = request(`${cluster?.server}${path}`, {
      ca: Buffer.from(cluster?.['certificate-authority-data'] ?? '', 'base64'),
      headers: { authorization: `Bearer ${users[0]?.user.token}` },
      agent: false,
    })
    call.on('error', reject)
    call.on('response', (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('error', reject)
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          retryAfter: response.headers['retry-after'],
          body: JSON.parse(text),
          tookMs: Date.now() - startedAt,
        }),
      )
    })
    call.end()
  })
}
