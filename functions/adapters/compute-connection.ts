// Where Compute Engine is reached: what every driver on Google's client library is told.

import type { Clock } from '#shared/ports/clock.ts'
import { createComputeClients, type ClientOptions, type ComputeClients } from './compute-clients.ts'

export interface ComputeConnection {
  project: string
  clock: Clock
  /** Absent: Google's. The emulator is `{ host: '127.0.0.1', port, protocol: 'http' }`. */
  endpoint?: { host: string; port: number; protocol: 'http' | 'https' }
  /** Absent: the machine's own credentials. Emulators take google-auth-library's PassThroughClient. */
  authClient?: ClientOptions['authClient']
  operationTimeoutMs?: number
}

export const OPERATION_TIMEOUT_MS = 120_000

export function clientsFor({ project, endpoint, authClient }: ComputeConnection): ComputeClients {
  return createComputeClients({
    projectId: project,
    ...(endpoint
      ? { apiEndpoint: endpoint.host, port: endpoint.port, protocol: endpoint.protocol }
      : {}),
    ...(authClient ? { authClient } : {}),
  })
}
