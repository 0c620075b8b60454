// Hears that this node has work: a subscription of its own on the topic of all nodes. A wake-up says
// nothing but "look"; when the link was broken we look too, since one may have been lost.
//
// Each start has a new subscription. Pub/Sub goes on handing messages to the stream of a machine that
// was cut off, and gives them to another one only when they were not acknowledged in time: whoever
// shares a subscription with a dead predecessor hears every second wake-up ten seconds late.

import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import type { Message, PubSub, Subscription } from '@google-cloud/pubsub'
import { TOPICS } from '#shared/ports/bus.ts'
import type { Log } from '#shared/ports/log.ts'
import { pause, retryDelay } from './retry.ts'

export interface WakeUpOptions {
  project: string
  cluster: string
  node: string
  /** Keeps the subscription's name, so that the next start can take it away. */
  file: string
  onWake: () => void
  log: Log
  signal: AbortSignal
}

/** `*` in a wake-up: every node of the cluster. */
const EVERY_NODE = '*'
const ALREADY_EXISTS = 6
/** Pub/Sub forgets a subscription that nobody used for a day: the VM is gone. */
const EXPIRES_SECONDS = 86_400
const RETAIN_SECONDS = 600

/** Listens until the signal aborts. */
export async function listenForWakeUps(options: WakeUpOptions): Promise<void> {
  const { project, signal, log, onWake } = options
  // Only now: its client takes time to load, and names are answered before.
  const { PubSub: Client } = await import('@google-cloud/pubsub')
  const pubsub = new Client({ projectId: project })
  void remove(pubsub, nameOfLastTime(options.file))
  const name = newName(options.node)
  writeFileSync(options.file, name)
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      const subscription = await open(pubsub, name, options)
      // Whatever was published before the subscription was there is seen now.
      onWake()
      const opened = Date.now()
      const why = await listen(subscription, options)
      if (signal.aborted) break
      log.warn('wake-ups: the subscription ended, opening it again', { why })
      if (Date.now() - opened > 60_000) failures = 0
    } catch (error) {
      if (signal.aborted) break
      const text = error instanceof Error ? error.message : String(error)
      log.warn('wake-ups: no subscription, trying again', { why: text })
    }
    await pause(retryDelay(undefined, failures, Math.random()), signal)
  }
  await remove(pubsub, name)
  await pubsub.close().catch(() => undefined)
}

/** What nobody takes away goes by itself after EXPIRES_SECONDS. */
async function remove(pubsub: PubSub, name: string | undefined): Promise<void> {
  if (!name) return
  await pubsub
    .subscription(name)
    .delete()
    .catch(() => undefined)
}

function nameOfLastTime(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

async function open(pubsub: PubSub, name: string, options: WakeUpOptions): Promise<Subscription> {
  const settings = {
    flowControl: { maxMessages: 100 },
    streamingOptions: { maxStreams: 1 },
  }
  const attribute = (key: string, value: string): string => `attributes.${key} = "${value}"`
  try {
    await pubsub.createSubscription(TOPICS.nodes, name, {
      filter:
        `${attribute('cluster', options.cluster)} AND ` +
        `(${attribute('node', options.node)} OR ${attribute('node', EVERY_NODE)})`,
      ackDeadlineSeconds: 10,
      messageRetentionDuration: { seconds: RETAIN_SECONDS },
      expirationPolicy: { ttl: { seconds: EXPIRES_SECONDS } },
    })
  } catch (error) {
    const exists = error instanceof Error && 'code' in error && error.code === ALREADY_EXISTS
    if (!exists) throw error
  }
  return pubsub.subscription(name, settings)
}

/** Resolves with the reason when the subscription has come to an end. */
async function listen(subscription: Subscription, options: WakeUpOptions): Promise<string> {
  const { signal, onWake, log } = options
  const why = await new Promise<string>((resolve) => {
    subscription.on('message', (message: Message) => {
      message.ack()
      if (isForUs(message.attributes, options)) onWake()
    })
    // The stream broke and the client opens it again: something may have been missed.
    subscription.on('debug', (note: { message?: string }) => {
      log.info('wake-ups: the stream was opened again', { note: note.message ?? '' })
      onWake()
    })
    subscription.on('error', (error) => resolve(error.message))
    subscription.on('close', () => resolve('closed'))
    signal.addEventListener('abort', () => resolve('stopped'))
  })
  subscription.removeAllListeners('debug')
  subscription.on('error', () => undefined)
  await subscription.close().catch(() => undefined)
  return why
}

/** The emulator delivers what the filter should have kept away. */
export function isForUs(
  attributes: Readonly<Record<string, string>>,
  { cluster, node }: { cluster: string; node: string },
): boolean {
  if (attributes['cluster'] !== cluster) return false
  return attributes['node'] === node || attributes['node'] === EVERY_NODE
}

/** A name that Pub/Sub takes: a letter first, at most 255 characters. */
function newName(node: string): string {
  return `wherry-node-${node.slice(0, 200)}-${randomBytes(4).toString('hex')}`
}
