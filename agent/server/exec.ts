// /exec: a command in a running container.

import type { PodWorker } from '../pods/worker.ts'
import { deliver, exitStatus, failure } from './streams.ts'
import type { ClientStreams } from './streams.ts'

/** Runs the command and tells its exit code. */
export async function serveExec(
  client: ClientStreams,
  worker: PodWorker,
  container: string,
  command: readonly string[],
  hasTty: boolean,
): Promise<void> {
  const exec = worker.exec(container, command, { hasTty })
  if (!exec) {
    client.finish(failure(`container ${container} is not running`))
    return
  }
  client.onClose(() => exec.kill())
  client.onResize((size) => exec.resize(size))
  if (client.stdin) client.stdin.pipe(exec.stdin)
  else exec.stdin.end()
  const outputs = [deliver(exec.stdout, client.stdout), deliver(exec.stderr, client.stderr)]
  const code = await exec.ended
  await Promise.all(outputs)
  client.finish(exitStatus(code))
}
