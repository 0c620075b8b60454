// What the agent's server does with a request that changes its protocol: exec, attach, portForward,
// over WebSockets (today's clients) or SPDY/3.1 (kubectl up to 1.29; 1.30 for port-forward).

import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { createWebSocketStream, WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import type { Log } from '#shared/ports/log.ts'
import { CHANNEL_PROTOCOLS, channelStreams } from './channel-streams.ts'
import { HttpError } from './http-error.ts'
import { FORWARD_PROTOCOL, servePortForward } from './port-forward.ts'
import type { ForwardTarget } from './port-forward.ts'
import { spdyStreams, STREAM_PROTOCOL } from './spdy-streams.ts'
import { failure, wantedBy } from './streams.ts'
import type { ClientStreams } from './streams.ts'

/** A request as Node's `upgrade` event brings it. */
export interface Upgrade {
  request: IncomingMessage
  socket: Duplex
  head: Buffer
}

export interface Upgrades {
  /** Takes the connection for exec or attach. Errors: HttpError before anything was answered. */
  streams(
    upgrade: Upgrade,
    query: URLSearchParams,
    run: (client: ClientStreams) => Promise<void>,
  ): void
  /** Takes it for port-forward. Errors: as above. */
  forward(upgrade: Upgrade, target: ForwardTarget): void
  /** Cuts all of them. */
  close(): void
}

/** The name under which SPDY's frames travel in WebSocket messages. */
const TUNNEL_PROTOCOL = `SPDY/3.1+${FORWARD_PROTOCOL}`
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024

/** `hasTerminals`: the runtime can give one. */
export function createUpgrades(log: Log, hasTerminals: boolean): Upgrades {
  const open = new Set<Duplex>()
  const channels = new WebSocketServer({
    noServer: true,
    maxPayload: MESSAGE_BYTES_MAX,
    handleProtocols: (offered) => CHANNEL_PROTOCOLS.find((each) => offered.has(each)) ?? false,
  })
  const tunnels = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX })
  tunnels.on('headers', (headers) => headers.push(`Sec-WebSocket-Protocol: ${TUNNEL_PROTOCOL}`))
  const keep = ({ socket }: Upgrade): void => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
  }
  return {
    streams(upgrade, query, run) {
      const wanted = wantedBy(query)
      const start = async (client: ClientStreams): Promise<void> => {
        if (wanted.tty && !hasTerminals) client.finish(failure(NO_TERMINAL))
        else await run(client)
      }
      const failed = (error: unknown): void => {
        log.warn('a stream to a container failed', { error })
        upgrade.socket.destroy()
      }
      if (isWebSocket(upgrade)) {
        keep(upgrade)
        take(channels, upgrade, (client) => {
          start(channelStreams(client, wanted)).catch(failed)
        })
        return
      }
      const socket = switchToSpdy(upgrade, STREAM_PROTOCOL)
      keep(upgrade)
      spdyStreams(socket, wanted).then(start).catch(failed)
    },
    forward(upgrade, target) {
      if (!isWebSocket(upgrade)) {
        servePortForward(switchToSpdy(upgrade, FORWARD_PROTOCOL), target)
        keep(upgrade)
        return
      }
      const { headers } = upgrade.request
      const offered = headers['sec-websocket-protocol'] ?? ''
      if (!listOf(offered).includes(TUNNEL_PROTOCOL)) throw noCommonProtocol(offered)
      // The slash in its name is against RFC 6455, so ws must not see it; the answer names it above.
      delete headers['sec-websocket-protocol']
      keep(upgrade)
      take(tunnels, upgrade, (client) => servePortForward(createWebSocketStream(client), target))
    },
    close() {
      for (const socket of open) socket.destroy()
    },
  }
}

const NO_TERMINAL = 'a terminal (-t) is not available in this container runtime; run it without -t'

function take(
  server: WebSocketServer,
  { request, socket, head }: Upgrade,
  onClient: (client: WebSocket) => void,
): void {
  server.handleUpgrade(request, socket, head, onClient)
}

function isWebSocket({ request }: Upgrade): boolean {
  return request.headers.upgrade?.toLowerCase() === 'websocket'
}

/** Answers 101 and what the client may have sent already comes first. */
function switchToSpdy({ request, socket, head }: Upgrade, protocol: string): Duplex {
  if (request.headers.upgrade?.toLowerCase() !== 'spdy/3.1') {
    throw new HttpError(400, `unable to upgrade: unexpected upgrade ${request.headers.upgrade}`)
  }
  const offered = String(request.headers['x-stream-protocol-version'] ?? '')
  if (!listOf(offered).includes(protocol)) throw noCommonProtocol(offered)
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n' +
      `X-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
  )
  if (head.length > 0) socket.unshift(head)
  return socket
}

function noCommonProtocol(offered: string): HttpError {
  return new HttpError(
    400,
    `unable to upgrade: unable to negotiate protocol: client supports [${offered}]`,
  )
}

function listOf(header: string): string[] {
  return header.split(',').map((each) => each.trim())
}
