// Which /24 of loopback the load balancers' addresses come from. Two emulators on one machine must not
// share one: only one of them could listen on an address's port 80. Who holds a net listens on a port
// of its last address for as long as it runs.

import { createServer, type Server } from 'node:net'

export const DEFAULT_BALANCER_NET = '127.0.1'

export interface BalancerNet {
  /** `127.0.1`. */
  net: string
  release(): Promise<void>
}

const LOCK_PORT = 18_079
/** 127.0.2 to 127.0.5 are VMs' external addresses. */
const NETS = [1, ...Array.from({ length: 100 }, (_, index) => 100 + index)]

/** The first net that nobody holds. Where loopback has one address only, all share the first. */
export async function claimBalancerNet(): Promise<BalancerNet> {
  for (const third of NETS) {
    const net = `127.0.${third}`
    const lock = await listen(`${net}.254`)
    if (lock === 'taken') continue
    if (lock === 'impossible') break
    return {
      net,
      release: () =>
        new Promise((resolve) => {
          lock.close(() => resolve())
        }),
    }
  }
  return { net: DEFAULT_BALANCER_NET, release: () => Promise.resolve() }
}

function listen(host: string): Promise<Server | 'taken' | 'impossible'> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error) => {
      resolve('code' in error && error.code === 'EADDRINUSE' ? 'taken' : 'impossible')
    })
    server.listen(LOCK_PORT, host, () => resolve(server))
  })
}
