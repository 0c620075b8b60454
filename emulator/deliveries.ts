// What Google does around the functions: each is hosted behind functions-framework, Pub/Sub pushes its
// topic to it as a CloudEvent, and Cloud Scheduler calls the sweep each minute. A rejection is
// answered with 500: a nack, the message comes again.

import { PubSub } from '@google-cloud/pubsub'
import { decodePush } from '#functions/adapters/pubsub-push.ts'
import type { OnMessage } from '#functions/compose.ts'
import { TOPICS, type Topic } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import { hostFunctions, type EventFunction } from './google/functions-host.ts'
import { startScheduler } from './google/scheduler.ts'

interface DeliveriesOptions {
  project: string
  /** `127.0.0.1:8085`. */
  pubsubHost: string
  clock: Clock
  log: Log
  reconcile: OnMessage
  cloud: OnMessage
  deploys: OnMessage
  signals: OnMessage
  sweep(): Promise<void>
}

type PushedFunction = 'reconcile' | 'cloud' | 'deploys' | 'signals'

const TOPIC_OF: Record<PushedFunction, Topic> = {
  reconcile: TOPICS.changes,
  cloud: TOPICS.cloud,
  deploys: TOPICS.deploys,
  signals: TOPICS.signals,
}

/** Longer than any run of a function: a message is not delivered twice while it is handled. */
const ACK_DEADLINE_SECONDS = 120
const RETRY_MIN_SECONDS = 1
const RETRY_MAX_SECONDS = 10

/** Starts them; answers the function that ends them. */
export async function startDeliveries(options: DeliveriesOptions): Promise<() => Promise<void>> {
  const { project, clock, log } = options
  const host = await hostFunctions({
    functions: {
      reconcile: eventFunction('reconcile', options.reconcile, log),
      cloud: eventFunction('cloud', options.cloud, log),
      deploys: eventFunction('deploys', options.deploys, log),
      signals: eventFunction('signals', options.signals, log),
    },
  })
  const pubsub = new PubSub({
    projectId: project,
    apiEndpoint: options.pubsubHost,
    emulatorMode: true,
  })
  const names = Object.keys(TOPIC_OF) as PushedFunction[]
  await Promise.all(names.map((name) => push(pubsub, { name, project, url: host.urls[name] })))
  const stopScheduler = startScheduler({ name: 'sweep', target: () => options.sweep(), clock, log })
  return async () => {
    await stopScheduler()
    // Emulators that were there before us would go on pushing to a port that is closed.
    await Promise.all(
      names.map((name) =>
        pubsub
          .subscription(`wherry-${name}`)
          .delete()
          .catch(() => undefined),
      ),
    )
    await pubsub.close()
    await host.close()
  }
}

function eventFunction(name: PushedFunction, handle: OnMessage, log: Log): EventFunction {
  return {
    type: 'cloudEvent',
    handler: async (event) => {
      const message = decodePush(event)
      // What cannot be read now cannot be read later: acknowledged.
      if (!message) return
      try {
        await handle(message)
      } catch (error) {
        log.warn(`${name} did not succeed; the message comes again`, { error })
        throw error
      }
    },
  }
}

/** Makes the push subscription anew: an old one would push to an old port. */
async function push(
  pubsub: PubSub,
  { name, project, url }: { name: PushedFunction; project: string; url: string },
): Promise<void> {
  const topic = TOPIC_OF[name]
  const subscription = `wherry-${name}`
  await pubsub
    .subscription(subscription)
    .delete()
    .catch(() => undefined)
  await pubsub.topic(topic).createSubscription(subscription, {
    pushConfig: { pushEndpoint: `${url}/projects/${project}/topics/${topic}` },
    ackDeadlineSeconds: ACK_DEADLINE_SECONDS,
    retryPolicy: {
      minimumBackoff: { seconds: RETRY_MIN_SECONDS },
      maximumBackoff: { seconds: RETRY_MAX_SECONDS },
    },
  })
}
