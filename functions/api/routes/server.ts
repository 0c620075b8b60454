// What the server says of itself: /version and the health endpoints.

import { GIT_VERSION, KUBERNETES } from '#shared/version.ts'

/** Clients choose by it what they may ask for; gcloud's kubectl chooses its own version by it. */
export function versionInfo(): Record<string, string> {
  return {
    major: KUBERNETES.major,
    minor: KUBERNETES.minor,
    emulationMajor: KUBERNETES.major,
    emulationMinor: KUBERNETES.minor,
    minCompatibilityMajor: KUBERNETES.major,
    minCompatibilityMinor: KUBERNETES.minor,
    gitVersion: GIT_VERSION,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '2026-11-22T00:00:00Z',
    goVersion: 'none',
    compiler: 'none',
    platform: 'linux/amd64',
  }
}

const HEALTH = /^\/(healthz|livez|readyz)(\/|$)/

/** True for paths that are answered to everybody. */
export function isHealthPath(path: string): boolean {
  return HEALTH.test(path)
}

/** The process answers: that is all a health check may depend on. */
export function health(): Response {
  return new Response('ok', { headers: { 'content-type': 'text/plain; charset=utf-8' } })
}
