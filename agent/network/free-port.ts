// A port that nothing listens on, outside the range from which the kernel gives ports to outgoing
// connections: it stays free until the container that was promised it opens it.

import { createServer } from 'node:net'

const FIRST = 20_000
const COUNT = 12_000

/** A free port of 127.0.0.1 that is not in `taken`. */
export async function freePort(taken: ReadonlySet<number>): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = FIRST + Math.floor(Math.random() * COUNT)
    if (!taken.has(port) && (await isFree(port))) return port
  }
  throw new Error('no free port on 127.0.0.1')
}

/** True when a server can listen there now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
