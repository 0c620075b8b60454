// Sets up a Repository: a secret that only GitHub and the cluster know, and what is deployed.

import { randomBytes } from 'node:crypto'
import {
  ROLLBACK_ANNOTATION,
  type Repository,
  type RepositorySpec,
} from '#shared/api/repository.ts'
import type { KubeClient } from './kube-client.ts'

export interface RepositoryDraft {
  namespace: string
  name: string
  spec: RepositorySpec
  /**
   * What speaks to GitHub: a token, or a GitHub App's `appId`, `installationId` and `privateKey`.
   * Without it nothing is reported and the repository must be public.
   */
  credentials?: Record<string, string>
}

const CREATED = 201
const CONFLICT = 409
const OK = 200

/** The webhook's secret, which nobody can read out of this program again. Error: what was refused. */
export async function setUpRepository(client: KubeClient, draft: RepositoryDraft): Promise<string> {
  const { namespace, name, spec, credentials } = draft
  const secret = randomBytes(32).toString('base64url')
  await put(client, `/api/v1/namespaces/${namespace}/secrets`, {
    ...secretOf(`${name}-webhook`, { secret }),
  })
  if (credentials) {
    await put(client, `/api/v1/namespaces/${namespace}/secrets`, {
      ...secretOf(`${name}-github`, credentials),
    })
  }
  const repository = {
    apiVersion: 'deploy.wherry.dev/v1',
    kind: 'Repository',
    metadata: { name },
    spec: {
      ...spec,
      webhookSecretRef: { name: `${name}-webhook` },
      ...(credentials ? { credentialsRef: { name: `${name}-github` } } : {}),
    },
  }
  await put(client, `/apis/deploy.wherry.dev/v1/namespaces/${namespace}/repositories`, repository)
  return secret
}

/** Asks the deploy function to go back to the release before. Error: what was refused. */
export async function askRollback(
  client: KubeClient,
  namespace: string,
  name: string,
  wish: string,
): Promise<void> {
  const path = `/apis/deploy.wherry.dev/v1/namespaces/${namespace}/repositories/${name}`
  const change = { metadata: { annotations: { [ROLLBACK_ANNOTATION]: wish } } }
  const { status, body } = await client.request('PATCH', path, change)
  if (status !== OK) throw new Error(messageOf(body))
}

/** Undefined when there is none. */
export async function readRepository(
  client: KubeClient,
  namespace: string,
  name: string,
): Promise<Repository | undefined> {
  const path = `/apis/deploy.wherry.dev/v1/namespaces/${namespace}/repositories/${name}`
  const { status, body } = await client.request('GET', path)
  return status === OK ? (body as Repository) : undefined
}

/** Where GitHub shall send events: beside the cluster's API, or where this machine says. */
export function webhookUrl(server: string, local?: { gcloud: string; cluster: string }): string {
  if (local) return `${local.gcloud}/github/webhook/${local.cluster}`
  const { origin, pathname } = new URL(server)
  return `${origin}/github/webhook/${pathname.split('/').at(-1) ?? ''}`
}

interface Named {
  metadata: { name: string }
}

/** Creates the object, or replaces the one of that name. */
async function put(client: KubeClient, collection: string, object: Named): Promise<void> {
  const created = await client.request('POST', collection, object)
  if (created.status === CREATED) return
  const isThere = created.status === CONFLICT
  const path = `${collection}/${object.metadata.name}`
  const { status, body } = isThere ? await client.request('PUT', path, object) : created
  if (status !== OK) throw new Error(messageOf(body))
}

function secretOf(name: string, data: Record<string, string>): Named {
  const object = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData: data }
  return object
}

function messageOf(body: unknown): string {
  return typeof body === 'object' && body !== null && 'message' in body
    ? String(body.message)
    : 'the cluster refuses'
}
