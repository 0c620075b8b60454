// Paths of Ingress rules as patterns of a URL map: `/a` for that path alone, `/a/*` for all below it.

import type { HttpIngressPath } from '../api/ingress.ts'

export interface PathPattern {
  pattern: string
  /** A Prefix's own path: an Exact rule for the same one goes before it. */
  isWeak: boolean
}

/** The patterns of a path, or why it cannot be served. Validation has seen to everything else. */
export function patternsOf({ path = '', pathType }: HttpIngressPath): PathPattern[] | string {
  switch (pathType) {
    case 'Exact':
      if (path.includes('*'))
        return `invalid path "${path}" for path type Exact, must not contain '*'`
      return [{ pattern: path, isWeak: false }]
    case 'Prefix': {
      if (path.includes('*'))
        return `invalid path "${path}" for path type Prefix, must not contain '*'`
      // Kubernetes compares element by element: /a is the prefix of /a and of /a/b, not of /ab.
      const base = path.replace(/\/$/, '')
      const below = { pattern: `${base}/*`, isWeak: true }
      return base === '' ? [below] : [{ pattern: base, isWeak: true }, below]
    }
    case 'ImplementationSpecific':
    case undefined:
    default:
      // GKE's reading: without a path everything, otherwise as Google's URL maps write it.
      if (path === '') return [{ pattern: '/*', isWeak: false }]
      if (/\*(?!$)|[^/]\*$/.test(path)) {
        return `invalid path "${path}", the only '*' may follow the last '/'`
      }
      return [{ pattern: path, isWeak: false }]
  }
}
