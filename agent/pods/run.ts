// What belongs to one run of a container, and how probes and hooks reach it.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Container } from '#shared/api/pod.ts'
import { openLog } from '../logs/log-file.ts'
import type { LogFile } from '../logs/log-file.ts'
import type { CheckTarget } from './check.ts'
import type { NodeContext } from './node-context.ts'
import { podFolder } from './pod-folder.ts'
import type { PodRecord } from './record.ts'

export interface Run {
  id: string
  log: LogFile
  /** Its $PORT: where one that declares no port listens; undefined: it declares some. */
  port: number | undefined
  stopProbes: () => void
  /** Resolves when it has exited. */
  ended: Promise<void>
  onEnd: () => void
  /** Cuts a termination under way short. */
  hurry: (graceSeconds: number) => void
}

/** A run that is about to begin, or is taken over. */
export function newRun(id: string, log: LogFile, port: number | undefined): Run {
  const { promise: ended, resolve: onEnd } = Promise.withResolvers<void>()
  return { id, log, port, stopProbes: () => undefined, ended, onEnd, hurry: () => undefined }
}

/** Where the output of a container's n-th start is kept. */
export function logPath(stateDir: string, uid: string, name: string, number: number): string {
  return join(podFolder(stateDir, uid), name, `${number}.log`)
}

/** Opens the log of a start; of those before the last one is kept, as kubelet does. */
export function openRunLog(
  { stateDir, now }: NodeContext,
  uid: string,
  name: string,
  number: number,
): LogFile {
  const old = logPath(stateDir, uid, name, number - 2)
  for (const end of ['', '.1', '.2', '.3', '.4']) void rm(`${old}${end}`, { force: true })
  void rm(old.replace(/log$/, 'message'), { force: true })
  return openLog(logPath(stateDir, uid, name, number), now)
}

/** How probes and hooks reach a run. */
export function targetOf(
  record: PodRecord,
  spec: Container,
  run: Run,
  { network, runtime }: Pick<NodeContext, 'network' | 'runtime'>,
): CheckTarget {
  const podIP = record.podIP ?? ''
  const declared = record.pod.spec.containers.flatMap(({ ports }) => ports ?? [])
  const { port: unnamed } = run
  return {
    podIP,
    locate: (port) =>
      network.locate(podIP, port) ??
      // One that declares nothing listens on its $PORT, whatever a probe calls it.
      (unnamed === undefined ? undefined : { host: '127.0.0.1', port: unnamed }),
    portNumber: (port) => {
      if (typeof port === 'number') return port
      const named = [...(spec.ports ?? []), ...declared].find(({ name }) => name === port)
      return named?.containerPort ?? (Number(port) || undefined)
    },
    exec: (argv) => runtime.exec(run.id, argv),
  }
}
