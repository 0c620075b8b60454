// Images on the engine: finding and fetching them, with credentials, progress and an end for a pull
// that gets nowhere.

import { Readable } from 'node:stream'
import type Docker from 'dockerode'
import { isRecord } from '../../json.ts'
import type { Credential } from '../credential.ts'
import { normaliseImage } from '../runtime.ts'
import type { Image, PullOptions } from '../runtime.ts'
import { fromDaemon, isNotFound, soon } from './engine.ts'
import { PAUSE_IMAGE, pauseArchive } from './pause.ts'

/** An image and what only this runtime needs. */
export interface EngineImage extends Image {
  /** What its main process is told to stop by. */
  stopSignal: string
}

/** Who the node itself is to a registry; undefined: nobody. */
export type NodeCredential = (host: string) => Promise<Credential | undefined>

/** As kubelet's image-pull-progress-deadline, with room for unpacking a big layer on a slow disk. */
const STALLED_MS = 120_000

/** The image if it is there. */
export async function findEngineImage(
  docker: Docker,
  reference: string,
): Promise<EngineImage | undefined> {
  try {
    return imageOf(reference, await docker.getImage(reference).inspect())
  } catch (error) {
    if (isNotFound(error)) return undefined
    throw error
  }
}

/** Those that have a name, without the pause image. */
export async function listEngineImages(docker: Docker): Promise<Image[]> {
  const list = await docker.listImages(soon())
  return list.flatMap((info): Image[] => {
    const [name] = info.RepoTags ?? []
    if (!name || name === PAUSE_IMAGE || name === '<none>:<none>') return []
    const reference = normaliseImage(name)
    if (!reference) return []
    return [
      {
        reference,
        id: info.Id,
        digest: digestOf(reference, info.RepoDigests ?? []),
        sizeBytes: info.Size,
        entrypoint: [],
        cmd: [],
        env: {},
        workdir: undefined,
        user: '',
        ports: [],
      },
    ]
  })
}

/** Makes sure that sandboxes can be started. */
export async function loadPauseImage(docker: Docker): Promise<void> {
  if (await findEngineImage(docker, PAUSE_IMAGE)) return
  const archive = Readable.from([await pauseArchive(process.arch)])
  const answer = await docker.loadImage(archive, { quiet: true })
  await followJson(answer, () => undefined)
  if (!(await findEngineImage(docker, PAUSE_IMAGE)))
    throw new Error('the engine took no pause image')
}

/** One pull at a time of each image; who asks meanwhile shares it. */
export class Puller {
  readonly #docker: Docker
  readonly #nodeCredential: NodeCredential
  readonly #running = new Map<string, { done: Promise<EngineImage>; listeners: Set<Listener> }>()

  constructor(docker: Docker, nodeCredential: NodeCredential) {
    this.#docker = docker
    this.#nodeCredential = nodeCredential
  }

  /** Rejects with the words of kubelet over the engine's. */
  async pull(reference: string, options: PullOptions): Promise<EngineImage> {
    const { credentials } = options
    const onProgress: Listener = (...progress) => options.onProgress(...progress)
    // Who may not have it does not get it by asking while another one pulls.
    const key = JSON.stringify([reference, credentials])
    const running = this.#running.get(key) ?? this.#start(key, reference, credentials)
    running.listeners.add(onProgress)
    try {
      return await running.done
    } finally {
      running.listeners.delete(onProgress)
    }
  }

  #start(
    key: string,
    reference: string,
    credentials: readonly Credential[],
  ): { done: Promise<EngineImage>; listeners: Set<Listener> } {
    const listeners = new Set<Listener>()
    const tell: Listener = (...progress) => {
      for (const listener of listeners) listener(...progress)
    }
    const done = this.#pullAs(reference, credentials, tell).finally(() => this.#running.delete(key))
    const running = { done, listeners }
    this.#running.set(key, running)
    return running
  }

  async #pullAs(
    reference: string,
    credentials: readonly Credential[],
    tell: Listener,
  ): Promise<EngineImage> {
    const host = reference.split('/')[0] ?? ''
    const own = credentials.length > 0 ? undefined : await this.#nodeCredential(host)
    const tries: (Credential | undefined)[] = own ? [own] : [...credentials]
    let failure: unknown
    for (const credential of tries.length > 0 ? tries : [undefined]) {
      try {
        await this.#pullOnce(reference, host, credential, tell)
        const image = await findEngineImage(this.#docker, reference)
        if (image) return image
        failure = new Error('the image is not there after its pull')
      } catch (error) {
        failure = error
      }
    }
    // Kubelet's words over those of the engine.
    const why = `rpc error: code = Unknown desc = ${fromDaemon(failure)}`
    throw new Error(why, { cause: failure })
  }

  async #pullOnce(
    reference: string,
    host: string,
    credential: Credential | undefined,
    tell: Listener,
  ): Promise<void> {
    const auth = credential
      ? {
          authconfig: {
            username: credential.username,
            password: credential.password,
            serveraddress: host === 'docker.io' ? 'https://index.docker.io/v1/' : host,
          },
        }
      : {}
    const answer: NodeJS.ReadableStream = await this.#docker.pull(reference, auth)
    const layers = new Map<string, { done: number; total: number }>()
    await followJson(answer, (line) => {
      const { id, status, progressDetail } = line
      if (status !== 'Downloading' || typeof id !== 'string' || !isRecord(progressDetail)) return
      const [done, total] = [Number(progressDetail['current']), Number(progressDetail['total'])]
      if (!(total > 0)) return
      layers.set(id, { done, total })
      const sum = (key: 'done' | 'total'): number =>
        [...layers.values()].reduce((all, layer) => all + layer[key], 0)
      tell(sum('done'), sum('total'))
    })
  }
}

type Listener = PullOptions['onProgress']

/** Reads the lines of a stream of JSON. Rejects with the error that one of them tells. */
async function followJson(
  answer: NodeJS.ReadableStream,
  onLine: (line: Record<string, unknown>) => void,
): Promise<void> {
  if (!(answer instanceof Readable)) throw new TypeError('the engine answered no stream')
  const source = answer
  const stalled = (): void => {
    source.destroy(new Error(`no progress for ${STALLED_MS / 1000}s, the pull was given up`))
  }
  let timer = setTimeout(stalled, STALLED_MS)
  let rest = ''
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      clearTimeout(timer)
      timer = setTimeout(stalled, STALLED_MS)
      const lines = (rest + chunk.toString()).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) told(line, onLine)
    }
    told(rest, onLine)
  } finally {
    clearTimeout(timer)
  }
}

function told(text: string, onLine: (line: Record<string, unknown>) => void): void {
  if (text.trim() === '') return
  const line: unknown = JSON.parse(text)
  if (!isRecord(line)) return
  if (typeof line['error'] === 'string') throw new Error(line['error'])
  onLine(line)
}

function imageOf(reference: string, info: Docker.ImageInspectInfo): EngineImage {
  const { Entrypoint, Cmd, Env, WorkingDir, User, ExposedPorts } = info.Config ?? {}
  const config: unknown = info.Config
  const stopSignal = isRecord(config) ? config['StopSignal'] : undefined
  return {
    reference,
    id: info.Id,
    digest: digestOf(reference, info.RepoDigests ?? []),
    sizeBytes: info.Size,
    entrypoint: listOf(Entrypoint),
    cmd: listOf(Cmd),
    env: Object.fromEntries((Env ?? []).map(splitVariable)),
    workdir: WorkingDir || undefined,
    user: User ?? '',
    ports: Object.keys(ExposedPorts ?? {}).flatMap((each) => {
      const [port, protocol = 'tcp'] = each.split('/')
      return protocol === 'tcp' ? [Number(port)] : []
    }),
    stopSignal: typeof stopSignal === 'string' && stopSignal !== '' ? stopSignal : 'SIGTERM',
  }
}

/** The digest under the name that was asked for, else under any. */
function digestOf(reference: string, digests: readonly string[]): string | undefined {
  const all = digests.map(normaliseImage).filter((digest) => digest !== undefined)
  const name = reference.replace(/@.*$/, '').replace(/:[^/:]*$/, '')
  return all.find((digest) => digest.startsWith(`${name}@`)) ?? all[0]
}

function listOf(value: string | string[] | undefined | null): string[] {
  return typeof value === 'string' ? [value] : (value ?? [])
}

function splitVariable(variable: string): [string, string] {
  const at = variable.indexOf('=')
  return at < 0 ? [variable, ''] : [variable.slice(0, at), variable.slice(at + 1)]
}
