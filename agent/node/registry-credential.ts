// Who a VM is to Google's registries: its service account, as GKE's credential provider has it.
// https://cloud.google.com/artifact-registry/docs/docker/authentication#token

import { isRecord } from '../json.ts'
import type { Credential } from '../runtime/credential.ts'
import type { Metadata } from './metadata.ts'

const GOOGLE_REGISTRY = /(^|\.)gcr\.io$|-docker\.pkg\.dev$/
const TOKEN_PATH = 'instance/service-accounts/default/token'

/** A credential for a registry's host; undefined for others', and where the VM has no account. */
export function createNodeCredential(
  metadata: Pick<Metadata, 'get'>,
): (host: string) => Promise<Credential | undefined> {
  return async (host) => {
    if (!GOOGLE_REGISTRY.test(host)) return undefined
    const text = await metadata.get(TOKEN_PATH).catch(() => undefined)
    const json: unknown = text ? JSON.parse(text) : undefined
    const token = isRecord(json) ? json['access_token'] : undefined
    return typeof token === 'string'
      ? { username: 'oauth2accesstoken', password: token }
      : undefined
  }
}
