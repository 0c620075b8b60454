// functions-framework makes the HTTP server itself and shows it to nobody, but kubectl exec needs
// connections that leave HTTP. Node tells when a server begins to listen; that one is told who takes
// them. https://nodejs.org/api/diagnostics_channel.html

import { subscribe } from 'node:diagnostics_channel'
import { Server } from 'node:http'
import type { UpgradeListener } from './api/exec-upgrade.ts'

const LISTENING = 'tracing:net.server.listen:asyncEnd'

/** To be called before the server listens. */
export function takeUpgrades(listener: UpgradeListener): void {
  subscribe(LISTENING, (message) => {
    const server: unknown =
      typeof message === 'object' && message !== null && 'server' in message
        ? message.server
        : undefined
    if (server instanceof Server) server.on('upgrade', listener)
  })
}
