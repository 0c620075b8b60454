// Asks a container registry which image a tag is: the distribution API, with the token dance that public
// registries want. Only known registries are asked, and only over HTTPS.
// https://distribution.github.io/distribution/spec/api/, https://distribution.github.io/distribution/spec/auth/token/

import { highestTag, matchesTag } from '#shared/deploy/tags.ts'
import type { FoundTag, ImageWant } from '#shared/deploy/images.ts'
import { isObject } from '#shared/patch/json.ts'
import type { Clock } from '#shared/ports/clock.ts'
import { failureOf, GithubBusy, GithubRefusal } from './github-errors.ts'
import { send } from './github-request.ts'

const KNOWN = /^(ghcr\.io|docker\.io|quay\.io|gcr\.io|[a-z]+\.gcr\.io|[a-z0-9-]+-docker\.pkg\.dev)$/
/** Where tokens come from, when not from the registry's own host. */
const REALMS: Readonly<Record<string, string>> = { 'docker.io': 'auth.docker.io' }
const HOSTS: Readonly<Record<string, string>> = { 'docker.io': 'registry-1.docker.io' }
const TAGS_MAX = 1000
const DIGEST = /^sha256:[0-9a-f]{64}$/
const MANIFESTS = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')

export interface RegistryOptions {
  clock: Clock
  fetch: typeof fetch
  /** GitHub's token opens ghcr.io too. */
  githubToken: string | undefined
}

/**
 * The image that a wanted tag is now: the highest of those that match, and its digest. Undefined: there
 * is none. Errors: GithubBusy (ask again), GithubRefusal (it may not be asked).
 */
export async function findImage(
  options: RegistryOptions,
  { image, pattern }: ImageWant,
): Promise<FoundTag | undefined> {
  const { host, name } = placeOf(image)
  const ask = createAsk(options, host, name)
  const tag = pattern.includes('*') ? await newestTag(ask, pattern) : pattern
  if (tag === undefined) return undefined
  const answer = await ask('HEAD', `manifests/${tag}`)
  if (answer.status === 404) return undefined
  const digest = answer.headers.get('docker-content-digest') ?? ''
  if (!DIGEST.test(digest)) throw new GithubBusy(`${host} answers no digest of ${name}:${tag}`)
  return { tag, digest }
}

function placeOf(image: string): { host: string; name: string } {
  const [first = '', ...rest] = image.split('/')
  const hasHost = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost')
  const host = hasHost ? first : 'docker.io'
  if (!KNOWN.test(host)) {
    throw new GithubRefusal(
      403,
      `${host} is no registry that is asked: ghcr.io, docker.io, quay.io, gcr.io, pkg.dev`,
    )
  }
  if (hasHost) return { host, name: rest.join('/') }
  return { host, name: rest.length > 0 ? image : `library/${image}` }
}

type Ask = (method: 'GET' | 'HEAD', path: string) => Promise<Response>

async function newestTag(ask: Ask, pattern: string): Promise<string | undefined> {
  const answer = await ask('GET', `tags/list?n=${TAGS_MAX}`)
  if (answer.status === 404) return undefined
  const body: unknown = await answer.json().catch(() => undefined)
  const tags = isObject(body) && Array.isArray(body['tags']) ? body['tags'] : []
  return highestTag(
    tags.filter((tag): tag is string => typeof tag === 'string' && matchesTag(pattern, tag)),
  )
}

function createAsk(options: RegistryOptions, host: string, name: string): Ask {
  let authorization: string | undefined
  const base = `https://${HOSTS[host] ?? host}/v2/${name}`
  return async (method, path) => {
    const call = (): Promise<Response> =>
      send(options, `${base}/${path}`, {
        method,
        redirect: 'error',
        headers: { accept: MANIFESTS, ...(authorization ? { authorization } : {}) },
      })
    let answer = await call()
    if (answer.status === 401 && authorization === undefined) {
      const challenge = answer.headers.get('www-authenticate') ?? ''
      authorization = `Bearer ${await tokenOf(options, host, name, challenge)}`
      answer = await call()
    }
    if (answer.ok || answer.status === 404) return answer
    throw await failureOf(answer, `${host}/${name}`, options.clock.now())
  }
}

/** A token to pull this one image, from where the registry says, if that may be believed. */
async function tokenOf(
  options: RegistryOptions,
  host: string,
  name: string,
  challenge: string,
): Promise<string> {
  const realm = /realm="([^"]+)"/.exec(challenge)?.[1] ?? ''
  const service = /service="([^"]+)"/.exec(challenge)?.[1]
  const url = URL.canParse(realm) ? new URL(realm) : undefined
  const isTrusted = url?.protocol === 'https:' && [host, REALMS[host]].includes(url.host)
  if (!url || !isTrusted) throw new GithubRefusal(401, `${host} wants a token from elsewhere`)
  url.searchParams.set('scope', `repository:${name}:pull`)
  if (service) url.searchParams.set('service', service)
  const { githubToken } = options
  const basic = host === 'ghcr.io' && githubToken ? btoa(`wherry:${githubToken}`) : undefined
  const answer = await send(options, url.href, {
    redirect: 'error',
    headers: basic ? { authorization: `Basic ${basic}` } : {},
  })
  if (!answer.ok) throw await failureOf(answer, `${url.host}${url.pathname}`, options.clock.now())
  const body: unknown = await answer.json().catch(() => undefined)
  const token = isObject(body) ? (body['token'] ?? body['access_token']) : undefined
  if (typeof token !== 'string') throw new GithubBusy(`${url.host} answers no token`)
  return token
}
