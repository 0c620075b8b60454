// The `compute` line of `kubectl get componentstatuses` in the cloud: reads the region over REST. The
// api function needs no more of Compute Engine, so it does not load the client.

import { GoogleAuth } from 'google-auth-library'

export interface ComputeProbeOptions {
  project: string
  region: string
  timeoutMs?: number
}

/** Resolves with `ok`; rejects with what Compute Engine says. */
export function createComputeProbe(options: ComputeProbeOptions): () => Promise<string> {
  const { project, region, timeoutMs = 2000 } = options
  const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/compute.readonly' })
  const url = `https://compute.googleapis.com/compute/v1/projects/${project}/regions/${region}?fields=name`
  return async () => {
    const client = await auth.getClient()
    await client.request({ url, timeout: timeoutMs, retry: false })
    return 'ok'
  }
}
