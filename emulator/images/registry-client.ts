// Pushes images to a registry of the OCI distribution API, without a Docker Engine.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md

import { createReadStream } from 'node:fs'
import { request } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { Layer } from './layer.ts'

export interface Registry {
  /** True when the tag is there with this manifest. */
  has(name: string, tag: string, digest: string): Promise<boolean>
  /** `from`: a repository of the same registry that may have it already. */
  putBlob(name: string, digest: string, content: Buffer | Layer, from?: string): Promise<void>
  putManifest(name: string, tag: string, manifest: Buffer): Promise<void>
}

export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
const TIMEOUT_MS = 60_000

/** `url`: `http://10.128.0.1:5000`. */
export function openRegistry(url: string): Registry {
  return {
    async has(name, tag, digest) {
      const response = await ask(url, `/v2/${name}/manifests/${tag}`, 'HEAD')
      return response.ok && response.headers.get('docker-content-digest') === digest
    },
    async putBlob(name, digest, content, from) {
      const there = await ask(url, `/v2/${name}/blobs/${digest}`, 'HEAD')
      if (there.ok) return
      const mount = from === undefined ? '' : `?mount=${digest}&from=${from}`
      const begun = await ask(url, `/v2/${name}/blobs/uploads/${mount}`, 'POST')
      if (begun.status === 201) return
      const location = begun.headers.get('location')
      if (!begun.ok || !location) throw new Error(`the registry takes no blob: ${begun.status}`)
      const to = new URL(location, url)
      to.searchParams.set('digest', digest)
      await upload(to, content)
    },
    async putManifest(name, tag, manifest) {
      const response = await ask(url, `/v2/${name}/manifests/${tag}`, 'PUT', manifest)
      if (!response.ok) {
        throw new Error(`the registry refuses ${name}:${tag}: ${await response.text()}`)
      }
    },
  }
}

function ask(url: string, path: string, method: string, body?: Buffer): Promise<Response> {
  return fetch(new URL(path, url), {
    method,
    headers: { accept: MANIFEST_TYPE, ...(body ? { 'content-type': MANIFEST_TYPE } : {}) },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(body ? { body: new Uint8Array(body) } : {}),
  })
}

/** A layer may be too large to be held in memory. */
function upload(to: URL, content: Buffer | Layer): Promise<void> {
  const size = Buffer.isBuffer(content) ? content.length : content.size
  const headers = { 'content-type': 'application/octet-stream', 'content-length': size }
  return new Promise((resolve, reject) => {
    const sending = request(to, { method: 'PUT', headers, timeout: TIMEOUT_MS }, (response) => {
      response.resume()
      if (response.statusCode === 201) resolve()
      else reject(new Error(`the registry answers a blob with ${response.statusCode}`))
    })
    sending.on('timeout', () => sending.destroy(new Error('the registry does not answer')))
    sending.on('error', reject)
    if (Buffer.isBuffer(content)) sending.end(content)
    else pipeline(createReadStream(content.file), sending).catch(reject)
  })
}
