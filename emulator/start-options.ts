// What `npm start -- …` understands.

import { parseArgs } from 'node:util'

export interface StartOptions {
  /** Begin empty. */
  reset: boolean
  /** Do not create a cluster and do not deploy the example. */
  empty: boolean
  /** VMs of the first cluster's pool. */
  nodes: number
  help: boolean
}

const NODES_MAX = 50

export const USAGE = `npm start -- [options]

  --reset      start empty: forget clusters, VMs and objects of before
  --empty      no cluster and no example: for gcloud container clusters create
  --nodes N    VMs of the first cluster (2)
  --help       this text

Environment: WHERRY_HOME (.wherry), FIRESTORE_EMULATOR_HOST and PUBSUB_EMULATOR_HOST (use emulators
that run already), NO_COLOR.
`

/** Error: a text that says what is wrong with the arguments. */
export function parseStartOptions(args: readonly string[]): StartOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      reset: { type: 'boolean', default: false },
      empty: { type: 'boolean', default: false },
      nodes: { type: 'string', default: '2' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const nodes = Number(values.nodes)
  if (!Number.isInteger(nodes) || nodes < 0 || nodes > NODES_MAX) {
    throw new Error(`--nodes takes a whole number from 0 to ${NODES_MAX}, not ${values.nodes}`)
  }
  return { reset: values.reset, empty: values.empty, nodes, help: values.help }
}
