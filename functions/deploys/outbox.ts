// What GitHub is told. A report stands in the Repository's status, committed with what it reports,
// until GitHub has taken it: at least once, and the same again is the same.

import { deploySettings, type DeployReport, type RepositoryStatus } from '#shared/api/repository.ts'
import { isEqual } from '#shared/equal.ts'
import type { Tending } from './deps.ts'
import { GithubRefusal } from './github-errors.ts'
import type { CommitStatus, Github } from './github.ts'
import { readRepository, updateStatus } from './status.ts'
import type { Target } from './targets.ts'

const OUTBOX_MAX = 50
const TEXT_MAX = 4000

/** The newest report of a commit stands for the older ones. */
export function withReport(status: RepositoryStatus, report: DeployReport): RepositoryStatus {
  const others = (status.outbox ?? []).filter(
    ({ commit, pull }) => commit !== report.commit || pull !== report.pull,
  )
  const bounded = {
    ...report,
    description: report.description.slice(0, TEXT_MAX),
    ...(report.details ? { details: report.details.slice(0, TEXT_MAX) } : {}),
  }
  return { ...status, outbox: [...others, bounded].slice(-OUTBOX_MAX) }
}

/** The status's name on GitHub, one a target. */
export function contextOf(environment: string): string {
  return `wherry/${environment}`
}

/**
 * Says that a commit is on its way; answers the id of GitHub's Deployment. Nothing depends on it:
 * what cannot be said now is said with the result.
 */
export async function announce(
  { deps, cluster, key }: Tending,
  github: Github,
  { environment, pull }: Target,
  commit: string,
): Promise<number | undefined> {
  try {
    await github.setStatus(commit, {
      state: 'pending',
      description: 'is being deployed',
      context: contextOf(environment),
    })
    const id = await github.deployment(commit, environment, pull !== undefined)
    await github.setDeploymentStatus(id, 'in_progress', 'is being deployed')
    return id
  } catch (error) {
    deps.log.warn('GitHub was not told of a deploy', { cluster, key, error })
    return undefined
  }
}

/** Sends what waits. Error: GithubBusy; what was sent by then may be sent again. */
export async function flushOutbox(tending: Tending): Promise<void> {
  const { deps, live, key, cluster } = tending
  const reader = await live.catchUp()
  const repository = readRepository(reader, key)
  const outbox = repository?.status?.outbox ?? []
  if (!repository || outbox.length === 0) return
  const github = await tending.github(repository, reader)
  for (const report of outbox) {
    try {
      await send(github, report, deploySettings(repository).environment, repository.metadata.name)
    } catch (error) {
      if (!(error instanceof GithubRefusal)) throw error
      deps.log.warn('GitHub refuses a report', { cluster, key, error })
    }
  }
  await updateStatus(deps, live, key, 'reported', ({ status = {} }) => {
    const left = (status.outbox ?? []).filter(
      (report) => !outbox.some((sent) => isEqual(sent, report)),
    )
    const { outbox: _, ...rest } = status
    return left.length > 0 ? { ...rest, outbox: left } : rest
  })
}

async function send(
  github: Github,
  report: DeployReport,
  environment: string,
  name: string,
): Promise<void> {
  const { commit, state, description, deploymentId, url, pull, details } = report
  const context = contextOf(pull === undefined ? environment : `preview-${pull}`)
  const told = commitState(state)
  if (told) {
    const shown = { ...(url ? { url } : {}), ...(details ? { details } : {}) }
    await github.setStatus(commit, { state: told, description, context, ...shown })
  }
  if (deploymentId !== undefined) {
    await github.setDeploymentStatus(deploymentId, state, description, url)
  }
  if (pull !== undefined && details !== undefined) {
    await github.setComment(pull, `<!-- wherry:${name} -->`, details)
  }
}

/** A commit itself is never inactive. */
function commitState(state: DeployReport['state']): CommitStatus['state'] | undefined {
  return state === 'inactive' ? undefined : state
}
