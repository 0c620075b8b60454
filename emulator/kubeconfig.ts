// The kubeconfig that `npm start` writes: one file of its own, the user's is never touched.

import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { stringify } from 'yaml'

export interface KubeconfigCluster {
  /** Names cluster, context and user, as gcloud does: `gke_<project>_<location>_<name>`. */
  name: string
  /** `https://127.0.0.1:8443`. */
  server: string
  /** PEM of the CA that signed the server's certificate. */
  ca: string
  token: string
}

/** Writes the file at once (rename), readable by its owner only; the first cluster is current. */
export function writeKubeconfig(path: string, clusters: readonly KubeconfigCluster[]): void {
  const text = stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: clusters.map(({ name, server, ca }) => ({
      name,
      cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') },
    })),
    contexts: clusters.map(({ name }) => ({ name, context: { cluster: name, user: name } })),
    'current-context': clusters[0]?.name ?? '',
    users: clusters.map(({ name, token }) => ({ name, user: { token } })),
  })
  mkdirSync(dirname(path), { recursive: true })
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, text, { mode: 0o600 })
  renameSync(draft, path)
}
