// After the apply: the rollout is followed from the view, and ends well, or badly, or with the app as
// it was before.

import {
  deploySettings,
  type DeployReport,
  type DeployState,
  type ImagePin,
  type Repository,
  type RepositoryStatus,
  type RevertState,
} from '#shared/api/repository.ts'
import { addressOf, overdue, placeOf, rolloutOf, type Rollout } from '#shared/deploy/rollout.ts'
import { short } from '#shared/deploy/events.ts'
import { commitOf } from '#shared/deploy/images.ts'
import type { Key } from '#shared/key.ts'
import { formatTime, parseTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import { applyManifests } from './deploy-commit.ts'
import type { Tending } from './deps.ts'
import { withReport } from './outbox.ts'
import { keyOfManifest } from './plan.ts'
import { readRelease } from './release.ts'
import { updateStatus } from './status.ts'
import { releaseOf, stateOf, withState, type Target } from './targets.ts'

const SKIPPED_MAX = 20

/** True when something was committed. */
export async function follow(
  tending: Tending,
  repository: Repository,
  reader: Reader,
  target: Target,
): Promise<boolean> {
  const { deploy } = stateOf(repository.status ?? {}, target)
  if (!deploy || deploy.phase === 'Healthy' || deploy.phase === 'Refused') return false
  const keys = await keysOf(reader, repository, target, releaseOf(deploy))
  if (!keys) return false
  const rollout = judge(tending, repository, reader, { deploy, keys })
  if (rollout.is === 'done') return succeed(tending, target, deploy, { keys, rollout })
  // A failed deploy may still become good, nothing else.
  if (deploy.phase === 'Failed' || rollout.is === 'waiting') return false
  return fail(tending, repository, reader, { target, deploy, rollout })
}

/** When the rollout's time is up; undefined when none is under way. */
export function deadlineOf(
  repository: Repository,
  deploy: DeployState | undefined,
): number | undefined {
  if (deploy?.phase !== 'Progressing' && deploy?.phase !== 'RollingBack') return undefined
  const { timeoutSeconds } = deploySettings(repository)
  return (parseTime(deploy.startedAt) ?? 0) + timeoutSeconds * 1000
}

function judge(
  { deps }: Tending,
  repository: Repository,
  reader: Reader,
  { deploy, keys }: { deploy: DeployState; keys: readonly Key[] },
): Rollout {
  const rollout = rolloutOf(reader, keys)
  const deadline = deadlineOf(repository, deploy)
  if (rollout.is !== 'waiting' || deadline === undefined || deps.clock.now() < deadline) {
    return rollout
  }
  return overdue(reader, keys, deploySettings(repository).timeoutSeconds)
}

/** The keys of what a release holds; undefined when that is not known any more. */
export async function keysOf(
  reader: Reader,
  repository: Repository,
  target: Target,
  release: string,
): Promise<Key[] | undefined> {
  const kept = await readRelease(reader, repository, target, release)
  return kept?.manifests.flatMap(
    (manifest) => keyOfManifest(manifest, { repository, target }) ?? [],
  )
}

async function succeed(
  { deps, live, key }: Tending,
  target: Target,
  deploy: DeployState,
  { keys, rollout }: { keys: readonly Key[]; rollout: Rollout },
): Promise<boolean> {
  return updateStatus(deps, live, key, 'deployed', (repository, reader) => {
    const status = repository.status ?? {}
    const state = stateOf(status, target)
    if (!isSame(state.deploy, deploy)) return status
    const at = addressOf(reader, keys)
    const url = at && deps.urlOfAddress(at.address, at.port)
    const back = deploy.instead
    const done: DeployState = {
      ...deploy,
      phase: 'Healthy',
      message: back ? (deploy.message ?? '') : rollout.message,
      finishedAt: formatTime(deps.clock.now()),
      ...(url ? { url } : {}),
      ...(target.pull === undefined ? {} : { place: placeOf(reader, keys, target.namespace) }),
    }
    const release = releaseOf(deploy)
    const isNewGood = state.lastGood !== undefined && state.lastGood !== release && !back
    const next = withState(status, target, {
      deploy: done,
      lastGood: release,
      previousGood: isNewGood ? state.lastGood : state.previousGood,
    })
    return withReport(next, {
      commit: deploy.commit,
      state: 'success',
      description: back ? `runs again instead of ${short(back)}` : done.message || 'rolled out',
      ...reportPlace(target, done),
      ...(target.pull === undefined ? {} : { details: shownDeploy(done) }),
    })
  })
}

interface Failing {
  target: Target
  deploy: DeployState
  rollout: Rollout
}

/** Rolls back when the Repository says so and there is something to go back to. */
async function fail(
  tending: Tending,
  repository: Repository,
  reader: Reader,
  { target, deploy, rollout }: Failing,
): Promise<boolean> {
  const pod = rollout.is === 'failed' ? rollout.pod : undefined
  const lines = pod && (await tending.deps.lastLines(tending.cluster, pod, reader))
  const { lastGood } = stateOf(repository.status ?? {}, target)
  const mayGoBack =
    repository.spec.rollout?.rollback === 'Auto' &&
    deploy.phase === 'Progressing' &&
    lastGood !== undefined &&
    lastGood !== releaseOf(deploy)
  const failed: DeployState = {
    ...deploy,
    phase: 'Failed',
    message: rollout.message,
    ...(target.pull === undefined ? {} : await whereOf(reader, repository, target, deploy)),
  }
  const report: DeployReport = {
    commit: deploy.commit,
    state: 'failure',
    description: rollout.message,
    ...reportPlace(target, deploy),
    ...(target.pull === undefined ? {} : { details: shownDeploy(failed, lines) }),
  }
  if (mayGoBack) {
    const why = `rolled back from ${short(deploy.commit)}: ${rollout.message}`
    const wantsRevert =
      repository.spec.rollout?.revertPullRequest &&
      target.pull === undefined &&
      commitOf(lastGood) !== deploy.commit
    const revert: RevertState | undefined = wantsRevert
      ? { commit: deploy.commit, to: commitOf(lastGood), reason: rollout.message, phase: 'Wanted' }
      : undefined
    const answered = (status: RepositoryStatus): RepositoryStatus =>
      revert ? { ...status, revert } : status
    const wish = { target, to: lastGood, why, report, answered }
    if (await goBack(tending, repository, reader, wish)) return true
  }
  const { deps, live, key } = tending
  return updateStatus(deps, live, key, 'failed', ({ status = {} }) => {
    const state = stateOf(status, target)
    if (!isSame(state.deploy, deploy)) return status
    const finishedAt = formatTime(deps.clock.now())
    const next = withState(status, target, { ...state, deploy: { ...failed, finishedAt } })
    return withReport(next, report)
  })
}

async function whereOf(
  reader: Reader,
  repository: Repository,
  target: Target,
  deploy: DeployState,
): Promise<{ place?: string }> {
  const keys = await keysOf(reader, repository, target, releaseOf(deploy))
  return keys ? { place: placeOf(reader, keys, target.namespace) } : {}
}

export interface GoBack {
  target: Target
  /** The release that is applied again. */
  to: string
  why: string
  report?: DeployReport
  answered?: (status: RepositoryStatus) => RepositoryStatus
}

/**
 * Applies a former release again and skips the commit that is left. False: that release is not kept
 * any more.
 */
export async function goBack(
  tending: Tending,
  repository: Repository,
  reader: Reader,
  { target, to, why, report, answered }: GoBack,
): Promise<boolean> {
  const good = await readRelease(reader, repository, target, to)
  const bad = stateOf(repository.status ?? {}, target).deploy
  if (!good || bad === undefined) return false
  const left = repository.status?.images ?? []
  const skip = skippedBy(bad, to, { left, back: good.images })
  await applyManifests(tending, {
    target,
    basis: releaseOf(bad),
    head: { commit: commitOf(to), subject: `back from ${short(bad.commit)}` },
    manifests: good.manifests,
    images: good.images,
    phase: 'RollingBack',
    deploymentId: undefined,
    instead: bad.commit,
    message: why,
    ...(report ? { report } : {}),
    answered: (status) => {
      const skipped = [...(status.skipped ?? []).filter((each) => !skip.includes(each)), ...skip]
      const next = { ...status, skipped: skipped.slice(-SKIPPED_MAX) }
      return answered ? answered(next) : next
    },
  })
  return true
}

/** What must not come back by itself: the commit, or of the same commit the images that were new. */
function skippedBy(
  { commit }: DeployState,
  to: string,
  { left, back }: { left: readonly ImagePin[]; back: readonly ImagePin[] },
): string[] {
  if (commitOf(to) !== commit) return [commit]
  const kept = new Set(back.map(({ image }) => image))
  return left.flatMap(({ image }) => (kept.has(image) ? [] : [image]))
}

function isSame(now: DeployState | undefined, then: DeployState): boolean {
  return now?.commit === then.commit && now.startedAt === then.startedAt && now.phase === then.phase
}

function reportPlace(
  { pull }: Target,
  { deploymentId, url }: DeployState,
): Pick<DeployReport, 'pull' | 'deploymentId' | 'url'> {
  return {
    ...(pull === undefined ? {} : { pull }),
    ...(deploymentId ? { deploymentId } : {}),
    ...(url ? { url } : {}),
  }
}

/** A deploy in Markdown, for the pull request. */
export function shownDeploy(deploy: DeployState, lines?: string): string {
  const { commit, phase, url, objects = 0, created = 0, changed = 0, pruned = 0 } = deploy
  const parts = [
    `**${phase}**: ${commit.slice(0, 7)}${deploy.subject ? ` ${plain(deploy.subject)}` : ''}`,
    url ? `Open it at ${url}` : '',
    deploy.message ? `> ${plain(deploy.message)}` : '',
    deploy.place ? `Runs in ${deploy.place}` : '',
    `${objects} objects: ${created} created, ${changed} changed, ${pruned} removed`,
    deploy.changes?.length ? fenced('diff', deploy.changes.join('\n')) : '',
    deploy.cost ? `Cost: ${deploy.cost}` : '',
    lines ? `The pod’s last lines:\n\n${fenced('', lines)}` : '',
  ]
  return parts.filter((part) => part !== '').join('\n\n')
}

/** One line that mentions nobody and opens no markup. */
function plain(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/[<>@`]/g, '')
}

function fenced(language: string, text: string): string {
  return `~~~${language}\n${text.replaceAll('~~~', '~ ~ ~')}\n~~~`
}
