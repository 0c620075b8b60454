// What the control plane says of pods and nodes, as it says it: two watches, and whoever waits for
// something is told the moment it is so.

import { readFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { createInterface } from 'node:readline'
import { parse } from 'yaml'
import { conditionOf } from '#shared/api/conditions.ts'
import type { KubeObject } from '#shared/api/meta.ts'
import type { Node } from '#shared/api/node.ts'
import type { Pod } from '#shared/api/pod.ts'

export interface Cluster {
  pods(): Pod[]
  nodes(): Node[]
  /** Milliseconds since 1970 at which it was first so; rejects after `timeoutMs`. */
  when(what: string, isSo: () => boolean, timeoutMs?: number): Promise<number>
  /** The answer's status code. */
  ask(path: string): Promise<number>
  patch(path: string, body: object): Promise<void>
  remove(path: string): Promise<void>
  close(): void
}

interface Kubeconfig {
  clusters: { cluster: { server: string; 'certificate-authority-data': string } }[]
  users: { user: { token: string } }[]
}

interface List<T> {
  metadata: { resourceVersion: string }
  items: T[]
}

const NODES = '/api/v1/nodes'
const AGAIN_MS = 200

/** Watches the nodes and one namespace's pods of the first cluster of the kubeconfig. */
export function watchCluster(kubeconfigPath: string, namespace = 'default'): Cluster {
  const { clusters, users }: Kubeconfig = parse(readFileSync(kubeconfigPath, 'utf8'))
  const server = clusters[0]?.cluster.server ?? ''
  const ca = Buffer.from(clusters[0]?.cluster['certificate-authority-data'] ?? '', 'base64')
  const headers = { authorization: `Bearer ${users[0]?.user.token}` }
  const agent = new Agent({ keepAlive: true, ca })
  const closed = new AbortController()
  const waiting = new Set<() => void>()
  const changed = (): void => {
    for (const look of waiting) look()
  }

  /** Lists, watches from there, and does so again when the watch ends. */
  function watch<T extends KubeObject>(path: string): Map<string, T> {
    const objects = new Map<string, T>()
    const again = (): void => {
      if (!closed.signal.aborted) setTimeout(() => void follow(), AGAIN_MS)
    }
    const follow = async (): Promise<void> => {
      try {
        const list: List<T> = JSON.parse(await read(path))
        objects.clear()
        for (const item of list.items) objects.set(item.metadata.uid, item)
        changed()
        const since = list.metadata.resourceVersion
        await lines(`${path}?watch=1&resourceVersion=${since}`, (line) => {
          const { type, object }: { type: string; object: T } = JSON.parse(line)
          if (type === 'DELETED') objects.delete(object.metadata.uid)
          else if (type !== 'ERROR') objects.set(object.metadata.uid, object)
          changed()
        })
      } catch {
        // The control plane is away for a moment: it is asked again.
      }
      again()
    }
    void follow()
    return objects
  }

  async function read(path: string): Promise<string> {
    let text = ''
    await lines(path, (line) => (text += line))
    return text
  }

  function lines(path: string, onLine: (line: string) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const call = request(`${server}${path}`, { agent, headers, signal: closed.signal })
      call.on('error', reject)
      call.on('response', (response) => {
        response.on('error', reject)
        if (response.statusCode !== 200) reject(new Error(`${path}: ${response.statusCode}`))
        createInterface({ input: response })
          .on('line', onLine)
          .on('error', reject)
          .on('close', resolve)
      })
      call.end()
    })
  }

  function call(method: string, path: string, body?: object): Promise<number> {
    return new Promise((resolve, reject) => {
      const type = { 'content-type': 'application/merge-patch+json' }
      const sent = request(`${server}${path}`, { method, agent, headers: { ...headers, ...type } })
      sent.on('error', reject)
      sent.on('response', (response) => {
        response.resume()
        response.on('end', () => resolve(response.statusCode ?? 0))
      })
      sent.end(body && JSON.stringify(body))
    })
  }

  async function write(method: string, path: string, body?: object): Promise<void> {
    const status = await call(method, path, body)
    if (status >= 300) throw new Error(`${method} ${path}: ${status}`)
  }

  const pods = watch<Pod>(`/api/v1/namespaces/${namespace}/pods`)
  const nodes = watch<Node>(NODES)
  return {
    pods: () => [...pods.values()],
    nodes: () => [...nodes.values()],
    when(what, isSo, timeoutMs = 120_000) {
      return new Promise((resolve, reject) => {
        const end = (): void => {
          waiting.delete(look)
          clearTimeout(timer)
        }
        const look = (): void => {
          if (!isSo()) return
          end()
          resolve(Date.now())
        }
        const timer = setTimeout(() => {
          end()
          reject(new Error(`not within ${timeoutMs / 1000} s: ${what}`))
        }, timeoutMs)
        waiting.add(look)
        look()
      })
    },
    ask: (path) => call('GET', path),
    patch: (path, body) => write('PATCH', path, body),
    remove: (path) => write('DELETE', path),
    close() {
      closed.abort()
      agent.destroy()
    },
  }
}

export function isNodeReady(node: Node | undefined): boolean {
  return node !== undefined && conditionOf(node, 'Ready')?.status === 'True'
}

/** Ready and not on its way out. */
export function isServing(pod: Pod): boolean {
  return !pod.metadata.deletionTimestamp && conditionOf(pod, 'Ready')?.status === 'True'
}

export function restartsOf(pod: Pod): number {
  return pod.status?.containerStatuses?.[0]?.restartCount ?? 0
}
