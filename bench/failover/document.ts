// docs/failover.md, written by the benchmark from its own runs. Edit here, never there.

import { KUBERNETES, summary, type Run } from './results.ts'
import { PATIENCE_MS } from './load.ts'
import { SCENARIOS } from './scenarios.ts'

export interface About {
  /** `2 cores, 8 GB, linux x64`. */
  machine: string
  /** `2026-11-22`. */
  day: string
  perSecond: number
  runs: number
  /** What the VMs and containers are. */
  machines: string
}

export function document(runs: readonly Run[], about: About): string {
  return `# Failover

What happens to the visitors of a page when something under it dies, measured. This file and its picture
are written by \`npm run bench -- failover --runs ${about.runs} --markdown\`; nothing in them is typed by hand.

![Seconds from the fault, each dot one run](failover.svg)

Median (worst) of ${about.runs} runs on ${about.day}, on a machine with ${about.machine}:

${table(runs)}

Kubernetes with its defaults after the death of a node, for comparison: out of rotation after about
${KUBERNETES.outOfRotation} s, replaced after about ${KUBERNETES.replaced} s (tuned as far as people do: ${KUBERNETES.tuned}). Sources:
${KUBERNETES.sources.join('; ')}.

## What the columns say

- **Detected**: the control plane knows. The Node is no longer Ready, or the pod's status tells of the crash.
- **Out of rotation**: when the last request that failed was *sent*. 0: none failed.
- **Replacement ready**: as many pods as before are Ready, none of them on what was lost, and each new one
  has answered a visitor.
- **Back**: the fault has ended; the Node is Ready, the pods that were replaced have stopped, nothing is
  there twice.
- **Requests lost**: of about ${about.perSecond} a second, each on a connection of its own, sent whether or not
  earlier ones were answered; no answer within ${PATIENCE_MS / 1000} s counts as lost.

Two nodes, two replicas of examples/tic-tac-toe, one on each node, behind a load balancer; health checks
every second, unhealthy after two failures.

## How it works

- **VM kill, agent crash.** Google logs that the VM is gone; the log entry wakes the cloud function, which
  asks the Compute API what is true. Pods of a VM that does not run are replaced at once.
- **VM hang.** Only the health check can know. The load balancer drops the VM by itself; the log entry of
  that transition wakes the cloud function, which looks twice, one interval apart, before it believes it: a
  flap moves nothing. Then the Node is NotReady, its pods leave every Service, and others start elsewhere.
  While most nodes, or all, fail at the same time, nothing is evicted: that is more likely the checker's
  fault, and there is nowhere to go.
- **Preemption, VM stop.** The agent says that its VM shuts down and fails its health check. Pods are
  replaced elsewhere while the VM still forwards; it ends when pods and traffic have left.
- **Container crash.** The agent starts it again at once; meanwhile each node's proxy passes over whoever
  does not answer.

Try it while \`npm start\` runs: \`npm run fault -- --help\`.

## What this does not show

Measured on ${about.machines}. Such a VM's agent is its first process, so an agent crash takes the VM with
it; on Google Cloud the agent is started again and containers go on. A dead process refuses connections at
once, a dead machine is silent; and a log sink takes 0.5 to 5 s to deliver there, which is to be added to
*detected* and *replacement ready* for VM kills and hangs (not to *out of rotation* at the load balancer).
`
}

function table(runs: readonly Run[]): string {
  const head = ['', 'Detected', 'Out of rotation', 'Replacement ready', 'Back', 'Requests lost']
  const rows = SCENARIOS.map(({ name, title }) => [
    title,
    ...(['detected', 'outOfRotation', 'replaced', 'back', 'lost'] as const).map((column) => {
      const found = summary(runs, name, column)
      if (!found) return '–'
      const shown = (value: number): string =>
        column === 'lost' ? String(Math.round(value)) : `${value.toFixed(1)} s`
      return `${shown(found.median)} (${shown(found.worst)})`
    }),
  ])
  const rule = head.map((_, index) => (index === 0 ? '---' : '---:'))
  return [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
