// A TCP port on loopback that nobody uses at the moment.

import { createServer } from 'node:net'

/** Asks the system for a free port. Somebody else may take it before it is used: be ready to retry. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = address && typeof address === 'object' ? address.port : 0
      server.close(() => resolve(port))
    })
  })
}
