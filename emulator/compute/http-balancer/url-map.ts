// Which backend service a URL map chooses: by host, then by path. Pure.
// https://cloud.google.com/load-balancing/docs/url-map-concepts

/** What a request is answered with or by. */
export type Choice = { service: string } | { status: number }

export interface PathMatcher {
  fallback: Choice
  rules: readonly { paths: readonly string[]; choice: Choice }[]
}

export interface UrlMap {
  fallback: Choice
  hosts: readonly { hosts: readonly string[]; matcher: PathMatcher }[]
}

/** `host` as in the request's header, with or without a port. `path` without its query. */
export function choose(map: UrlMap, host: string, path: string): Choice {
  const matcher = matcherOf(map, host.replace(/:\d+$/, '').toLowerCase())
  return matcher ? chooseByPath(matcher, path) : map.fallback
}

/** The most specific one: the host itself, then the longest wildcard. */
function matcherOf(map: UrlMap, host: string): PathMatcher | undefined {
  let found: { length: number; matcher: PathMatcher } | undefined
  for (const { hosts, matcher } of map.hosts) {
    for (const pattern of hosts) {
      if (pattern === host) return matcher
      if (!pattern.startsWith('*') || pattern.length <= (found?.length ?? 0)) continue
      // `*` stands for at least one character.
      const end = pattern.slice(1)
      if (host.length > end.length && host.endsWith(end))
        found = { length: pattern.length, matcher }
    }
  }
  return found?.matcher
}

function chooseByPath({ rules, fallback }: PathMatcher, path: string): Choice {
  let found: { length: number; choice: Choice } | undefined
  for (const { paths, choice } of rules) {
    for (const pattern of paths) {
      if (pattern === path) return choice
      if (!pattern.endsWith('/*') || pattern.length <= (found?.length ?? 0)) continue
      if (path.startsWith(pattern.slice(0, -1))) found = { length: pattern.length, choice }
    }
  }
  return found?.choice ?? fallback
}
