// docs/failover.md, written by the benchmark from its own runs. Edit here, never there.

import { median } from '../support/median.ts'
import { KUBERNETES, summary, valuesOf, type AwayRun, type Run } from './results.ts'
import { PATIENCE_MS } from './load.ts'
import { SCENARIOS } from './scenarios.ts'

export interface About {
  /** `2 cores, 8 GB, linux x64`. */
  machine: string
  /** `2026-11-22`. */
  day: string
  perSecond: number
}

export function document(
  runs: readonly Run[],
  away: readonly AwayRun[],
  { machine, day, perSecond }: About,
): string {
  const count = Math.max(...SCENARIOS.map(({ name }) => valuesOf(runs, name, 'lost').length))
  const docker = SCENARIOS.filter((scenario) => 'needs' in scenario).map(({ name }) => name)
  const isDocker = runs.some(({ scenario }) => docker.some((name) => name === scenario))
  const machines = isDocker
    ? 'VMs that are network namespaces with a Docker Engine each'
    : 'VMs that are processes'
  return `# Failover

What happens to the visitors of a page when something under it dies, measured. This file and its picture
are written by \`npm run bench -- failover --runs ${count} --markdown\`; nothing in them is typed by hand.

![Seconds from the fault, each dot one run](failover.svg)

Median (worst) of ${count} runs on ${day}, on a machine with ${machine}, which ran all of it: the control plane,
Google's part, ${machines}, and the visitors.

${table(runs)}

Kubernetes with its defaults after the death of a node, for comparison: out of rotation after about
${KUBERNETES.outOfRotation} s, replaced after about ${KUBERNETES.replaced} s (tuned as far as people do: ${KUBERNETES.tuned}). Sources:
${KUBERNETES.sources.join('; ')}.

## What the columns say

- **Detected**: the control plane knows. The Node is no longer Ready, or the pod's status tells of the crash.
- **Out of rotation**: when the last request that failed was *sent*. 0: none failed.
- **Replacement ready**: as many pods as before are Ready, none of them on what was lost, and each new one
  has answered a visitor. After the death of an agent or a Docker Engine, whose containers go on: the agent
  says again that all is well.
- **Back**: the fault has ended; the Node is Ready, the pods that were replaced have stopped, nothing is
  there twice.
- **Requests lost**: of about ${perSecond} a second, each on a connection of its own, sent whether or not
  earlier ones were answered; no answer within ${PATIENCE_MS / 1000} s counts as lost.

Two nodes, two replicas of examples/tic-tac-toe with a readiness probe, one on each node, behind a load
balancer; health checks every second, unhealthy after two failures. A run begins a minute after a VM has last
answered a question: before that it would be believed for 10 s more, and its fault noticed so much later.
${awaySection(away)}
## How it works

- **VM kill.** Google logs that the VM is gone; the log entry wakes the cloud function, which asks the
  Compute API what is true. Pods of a VM that does not run are replaced at once.
- **VM hang, partition.** Only the health check can know. The load balancer drops the VM by itself; the log
  entry of that transition wakes the cloud function, which looks twice, one interval apart, before it believes
  it: a flap moves nothing. Then the Node is NotReady and its pods leave every Service. Its agent is asked on
  the other way, on which it speaks to the API; if it is silent for 5 s as well, others start elsewhere
  ([decision 0017](decisions/0017-two-channels-before-an-eviction.md)). Whoever has answered within the last
  minute is believed for 10 s more. While most nodes fail at the same time, nothing is evicted: that is more
  likely the checker's fault, and there is nowhere to go.
- **A log entry that is lost.** Once a minute the sweep compares the VMs with what they were, and wakes the cloud
  function when they differ.
- **Agent crash, Docker Engine death.** The VM starts it again. Containers and the rules of the kernel go on,
  nobody notices.
- **Preemption, drain, rolling update.** A pod that leaves goes on serving until every node forwards past it:
  5 s after it was told, or half of its grace period. The agent of a VM that shuts down fails its health check
  and forwards until load balancers and pods have left.
- **Container crash.** The agent starts it again at once. Until it listens, a node that has chosen it gets a
  refusal, as in Kubernetes.
- **A connection that was never answered** is forgotten by the kernel as soon as its endpoint is out: the next
  attempt of the same client goes to another one.

Try it while \`npm start\` runs: \`npm run fault -- --help\`.

## What this does not show

One machine with few cores played everything, so all shared its processors. On Google Cloud a log sink takes
0.5 to 5 s to deliver, which is to be added to *detected* and *replacement ready* for VM kills and hangs (not
to *out of rotation* at the load balancer), and a function that sleeps takes a second to wake. Images were
present on the VMs.
`
}

function awaySection(runs: readonly AwayRun[]): string {
  const [first] = runs
  if (!first) return ''
  const head = ['', 'Out of rotation', 'Requests lost', 'Made good after the return']
  const rows = SCENARIOS.flatMap(({ name, title }) => {
    const ours = runs.filter(({ scenario }) => scenario === name)
    if (ours.length === 0) return []
    const middle = (key: 'outOfRotation' | 'lost' | 'replaced' | 'requests'): number =>
      median(ours.map((run) => run[key]))
    const share = `${Math.round(middle('lost'))} of ${Math.round(middle('requests'))}`
    return [
      [
        title,
        `${middle('outOfRotation').toFixed(1)} s`,
        share,
        `${middle('replaced').toFixed(1)} s`,
      ],
    ]
  })
  return `
## While the control plane is away

The same events during an outage: the API answers nobody and no function runs for ${first.minutes} minutes. Each on
a cluster of its own, all in one outage${runs.length > rows.length ? `, median of ${Math.round(runs.length / rows.length)}` : ''} (\`npm run bench -- failover --only away\`). A VM that hangs or is cut off
stays so until after the return.

${markdownTable(head, rows)}

Containers go on and are started again, VMs come back, Google's load balancers drop VMs that fail their
check. What nobody does meanwhile is to take the endpoints on a lost VM out of Services and to start others:
a node that has chosen such an endpoint gets no answer, as in Kubernetes without its control plane.
`
}

function table(runs: readonly Run[]): string {
  const head = ['', 'Detected', 'Out of rotation', 'Replacement ready', 'Back', 'Requests lost']
  const played = SCENARIOS.filter(({ name }) => valuesOf(runs, name, 'lost').length > 0)
  const rows = played.map(({ name, title }) => [
    title,
    ...(['detected', 'outOfRotation', 'replaced', 'back', 'lost'] as const).map((column) => {
      const found = summary(runs, name, column)
      if (!found) return '–'
      const shown = (value: number): string =>
        column === 'lost' ? String(Math.round(value)) : `${value.toFixed(1)} s`
      return `${shown(found.median)} (${shown(found.worst)})`
    }),
  ])
  return markdownTable(head, rows)
}

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const rule = head.map((_, index) => (index === 0 ? '---' : '---:'))
  return [head, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
