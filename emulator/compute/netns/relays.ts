// What listens on this machine's loopback only (the Kubernetes API, the Pub/Sub emulator), made
// reachable for VMs: the same port at the machine's address of the VPC.

import { connect, createServer, type Socket } from 'node:net'

/** Forwards TCP from a port of `host` to the same one of 127.0.0.1. Answers what ends it. */
export async function relay(host: string, port: number): Promise<() => void> {
  const clients = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (client) => {
    clients.add(client)
    const upstream = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    client.on('error', () => upstream.destroy())
    upstream.on('error', () => client.resetAndDestroy())
    client.pipe(upstream)
    upstream.pipe(client)
    client.on('close', () => {
      clients.delete(client)
      upstream.destroy()
    })
    upstream.on('close', () => client.destroySoon())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, resolve)
  })
  return () => {
    server.close()
    for (const client of clients) client.destroy()
  }
}
