// The Bus port: wake-ups between functions and to nodes. Delivery is at least once, may be late,
// repeated, out of order, or lost: nobody may depend on more (the sweep delivers again).
// Drivers: functions/adapters/pubsub-bus.ts and emulator/adapters/memory-bus.ts.
// Contract: test/contract/bus.ts.

/** The topics. Names are the Pub/Sub topic ids; infra/ declares the same list. */
export const TOPICS = {
  /** A cluster's log has grown: `{ cluster }`. Ordering key: the cluster. → reconcile */
  changes: 'wherry-changes',
  /** Something on Google Cloud may have to change: `{ cluster }`. → cloud */
  cloud: 'wherry-cloud',
  /** A Repository, or something that it has deployed, may need a look: `{ cluster }`. → deploys */
  deploys: 'wherry-deploys',
  /** A node has work: `{ cluster, node }`; node `*` means every node. → agents, each filtered */
  nodes: 'wherry-nodes',
  /** Log-sink entries about VMs: Google's LogEntry JSON. → signals */
  signals: 'wherry-signals',
} as const

export type Topic = (typeof TOPICS)[keyof typeof TOPICS]

export interface Message {
  /** Attributes, all texts. Wake-ups carry keys here, never state. */
  attributes: Record<string, string>
  /** The body; JSON for log entries, `{}` otherwise (an empty body is not converted by push). */
  data: string
  orderingKey?: string
}

export interface Bus {
  /** Resolves when the message is accepted durably. Error: ServiceUnavailable. */
  publish(topic: Topic, message: Message): Promise<void>

  /**
   * Calls `handle` for each message whose attributes match all of `filter`. A rejection is a nack:
   * the message comes again. Answers the function that ends it.
   */
  subscribe(
    topic: Topic,
    subscription: string,
    handle: (message: Message) => Promise<void>,
    filter?: Record<string, string>,
  ): Promise<() => Promise<void>>

  /** Messages published since the bus was opened. */
  published(): number
}
