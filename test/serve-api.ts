// The api function behind TLS on a free port of loopback, with a kubeconfig: for real clients.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSystemClock } from '#functions/adapters/system-clock.ts'
import { writeKubeconfig } from '#emulator/kubeconfig.ts'
import { serve, type RunningServer } from '#emulator/serve.ts'
import { createAuthority, issueCertificate } from '#emulator/tls.ts'
import { ADMIN_TOKEN, createTestApi, type TestApi, type TestApiOptions } from './api.ts'
import { kubectl, runClient, type ClientResult } from './clients.ts'

export interface ServedApi {
  api: TestApi
  server: RunningServer
  /** A folder that goes with it. */
  dir: string
  kubeconfig: string
  /** Runs a kubectl with a HOME of its own. */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<ClientResult>
  close(): Promise<void>
}

export interface KubectlOptions {
  version?: Parameters<typeof kubectl>[0]
  input?: string
  timeoutMs?: number
}

/** Serves an api with one cluster; time is real. */
export async function serveApi(options: TestApiOptions = {}): Promise<ServedApi> {
  const dir = mkdtempSync(join(tmpdir(), 'wherry-api-'))
  const api = await createTestApi({ clock: createSystemClock(), ...options })
  const authority = await createAuthority(join(dir, 'tls'))
  const certificate = await issueCertificate(authority, ['127.0.0.1', 'localhost'])
  const server = await serve(api.app, { host: '127.0.0.1', port: 0, certificate })
  const kubeconfig = join(dir, 'kubeconfig')
  writeKubeconfig(kubeconfig, [
    { name: 'test', server: server.url, ca: authority.certificatePem, token: ADMIN_TOKEN },
  ])
  return {
    api,
    server,
    dir,
    kubeconfig,
    kubectl: (args, { version, input, timeoutMs } = {}) =>
      runClient(kubectl(version), args, {
        home: join(dir, `home-${version ?? 'newest'}`),
        kubeconfig,
        cwd: dir,
        ...(input === undefined ? {} : { input }),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      }),
    async close() {
      await server.close()
      await api.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
