// Listening on a load balancer's own address, or elsewhere on this machine when that cannot be had.

import type { Server } from 'node:net'

/** Answers where the server listens: `address` and `port`, or a free port of 127.0.0.1. */
export async function bindOrElsewhere(
  server: Server,
  address: string,
  port: number,
): Promise<{ host: string; hostPort: number }> {
  try {
    await listenOn(server, address, port)
  } catch {
    // No such address (not Linux), a port below 1024 without the right to it, or it is taken.
    await listenOn(server, '127.0.0.1', 0)
  }
  const at = server.address()
  if (at === null || typeof at === 'string') throw new Error('a listener has no port')
  return { host: at.address, hostPort: at.port }
}

function listenOn(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
