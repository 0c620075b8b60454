// /attach: what a running container prints from now on, and its standard input where the pod has one
// (`stdin: true`).

import { pipeline } from 'node:stream/promises'
import type { PodWorker } from '../pods/worker.ts'
import { deliver, failure, SUCCESS } from './streams.ts'
import type { ClientStreams } from './streams.ts'

/** Joins the client with the container until one of them ends. */
export async function serveAttach(
  client: ClientStreams,
  worker: PodWorker,
  container: string,
): Promise<void> {
  const tap = worker.attach(container)
  if (!tap) {
    client.finish(failure(`container ${container} is not running`))
    return
  }
  const { stdin } = tap
  client.onClose(() => tap.leave())
  client.onResize((size) => tap.resize(size))
  if (client.stdin && stdin) {
    const typed = client.stdin
    const end = (): void => tap.endStdin()
    // The container's input outlives this client, unless the pod says stdinOnce.
    void pipeline(typed, stdin, { end: false }).then(end, end)
  } else client.stdin?.resume()
  await Promise.all([deliver(tap.stdout, client.stdout), deliver(tap.stderr, client.stderr)])
  client.finish(tap.wasCutOff() ? failure(CUT_OFF) : SUCCESS)
}

const CUT_OFF = 'the client reads too slowly: the container does not wait for it any longer'
