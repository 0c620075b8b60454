// One Repository, from wherever it stands to rest: each step ends in one commit that says how far it
// is, so that whoever comes next, after a crash or on another instance, goes on from there.

import {
  ALLOW_PRUNE_ANNOTATION,
  deploySettings,
  ROLLBACK_ANNOTATION,
  type Repository,
  type RepositoryStatus,
} from '#shared/api/repository.ts'
import type { Condition } from '#shared/api/meta.ts'
import { short } from '#shared/deploy/events.ts'
import { formatTime, parseTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import { deployCommit } from './deploy-commit.ts'
import type { Tending } from './deps.ts'
import { tendDrift } from './drift.ts'
import { deadlineOf, follow, goBack } from './follow.ts'
import { GithubBusy, GithubRefusal } from './github-errors.ts'
import type { Github, Head } from './github.ts'
import { tendImages } from './images.ts'
import { flushOutbox } from './outbox.ts'
import { firstExpiry, tendPreviews } from './previews.ts'
import { tendRevert } from './revert.ts'
import { readRepository, updateStatus, withCondition } from './status.ts'
import { mainTarget, previewTarget, releaseOf, type Target } from './targets.ts'

/** One run does not go on for ever when somebody pushes without pause. */
const ROUNDS_MAX = 30
const RETRY_MS = 5000
const RETRY_MAX_MS = 300_000
const RETRY_FAR_MS = 3_600_000

/** What an instance remembers of a Repository between runs. */
export interface Memory {
  /** When GitHub is asked even though nobody has called. */
  nextCheckMs: number
}

/** Answers when it must be looked at again, at the latest. */
export async function tend(tending: Tending, memory: Memory): Promise<number | undefined> {
  try {
    for (let round = 1; round <= ROUNDS_MAX; round++) {
      const reader = await tending.live.catchUp()
      const repository = readRepository(reader, tending.key)
      if (!repository || repository.metadata.deletionTimestamp || repository.spec.paused) {
        return undefined
      }
      if (isWaiting(repository, tending.deps.clock.now())) {
        if (await stepWithoutGithub(tending, repository, reader)) continue
        break
      }
      if (await step(tending, repository, reader, memory)) continue
      if (!repository.status?.outbox?.length) break
      await flushOutbox(tending)
    }
  } catch (error) {
    if (error instanceof GithubBusy) await postpone(tending, error)
    else if (error instanceof GithubRefusal) await giveUp(tending, error)
    else throw error
  }
  return nextTime(tending, memory)
}

/** GitHub was not to be had, and nobody has called since. */
function isWaiting({ status }: Repository, now: number): boolean {
  const { retry, asked = 0 } = status ?? {}
  return retry !== undefined && asked === retry.asked && now < (parseTime(retry.at) ?? 0)
}

async function step(
  tending: Tending,
  repository: Repository,
  reader: Reader,
  memory: Memory,
): Promise<boolean> {
  if (await answerRollback(tending, repository, reader)) return true
  if (isLookDue(repository, memory, tending.deps.clock.now())) {
    const { checkMinutes } = deploySettings(repository)
    const now = tending.deps.clock.now()
    await look(tending, repository, reader)
    memory.nextCheckMs = now + checkMinutes * 60_000
    return true
  }
  if (await tendImages(tending, repository, reader)) return true
  if (await tendPreviews(tending, repository, reader)) return true
  if (await stepWithoutGithub(tending, repository, reader)) return true
  return tendRevert(tending, repository, reader)
}

/** What must go on although GitHub does not answer: going back, rollouts, drift. */
async function stepWithoutGithub(
  tending: Tending,
  repository: Repository,
  reader: Reader,
): Promise<boolean> {
  if (await answerRollback(tending, repository, reader)) return true
  for (const target of targetsOf(repository)) {
    if (await follow(tending, repository, reader, target)) return true
  }
  return tendDrift(tending, repository, reader)
}

function targetsOf(repository: Repository): Target[] {
  const previews = repository.status?.previews ?? []
  return [
    mainTarget(repository),
    ...previews.map(({ number }) => previewTarget(repository, number)),
  ]
}

function isLookDue(repository: Repository, { nextCheckMs }: Memory, now: number): boolean {
  const { status = {}, metadata } = repository
  return (
    (status.asked ?? 0) > (status.looked ?? 0) ||
    status.observedGeneration !== metadata.generation ||
    isAllowedNow(repository) ||
    now >= nextCheckMs
  )
}

/** A refused commit may now remove what it wants. `again` remembers that this was tried. */
function isAllowedNow({ metadata, status }: Repository): boolean {
  const allowed = metadata.annotations?.[ALLOW_PRUNE_ANNOTATION]
  const { deploy, again } = status ?? {}
  return deploy?.phase === 'Refused' && allowed === deploy.commit && again !== allowed
}

/** Asks GitHub which commit shall run, and deploys it unless that was done. */
async function look(tending: Tending, repository: Repository, reader: Reader): Promise<void> {
  const github = await tending.github(repository, reader)
  const { status = {}, metadata } = repository
  const head = await headOf(github, repository)
  const answered = (now: RepositoryStatus): RepositoryStatus => {
    const { retry: _, again: __, ...rest } = now
    const again = isAllowedNow(repository) ? status.deploy?.commit : undefined
    const trouble = head ? undefined : noHead(repository)
    return {
      ...rest,
      looked: Math.max(now.looked ?? 0, status.asked ?? 0),
      ...(metadata.generation === undefined ? {} : { observedGeneration: metadata.generation }),
      ...(again ? { again } : {}),
      conditions: sourceCondition(now, trouble, formatTime(tending.deps.clock.now())),
    }
  }
  if (head && mustDeploy(repository, head)) {
    const target = mainTarget(repository)
    await deployCommit(tending, repository, github, {
      target,
      head,
      basis: releaseOf(status.deploy),
      answered,
    })
    return
  }
  await updateStatus(tending.deps, tending.live, tending.key, 'looked', ({ status: now = {} }) =>
    answered(now),
  )
}

function headOf(github: Github, { spec }: Repository): Promise<Head | undefined> {
  return spec.tags ? github.tagHead(spec.tags) : github.branchHead(spec.branch ?? 'main')
}

function noHead({ spec }: Repository): string {
  return spec.tags
    ? `no tag of ${spec.repository} matches ${spec.tags}: what runs is left as it is`
    : `${spec.repository} has no branch ${spec.branch ?? 'main'}: what runs is left as it is`
}

function mustDeploy(repository: Repository, { commit }: Head): boolean {
  const { deploy, skipped = [], again, observedGeneration } = repository.status ?? {}
  if (again === commit && !isAllowedNow(repository)) return true
  if (isAllowedNow(repository)) return true
  // The person has changed how it is deployed: what failed may work now.
  const isOtherWay = observedGeneration !== repository.metadata.generation
  if (deploy?.commit === commit) return isOtherWay
  return isOtherWay || !skipped.includes(commit)
}

/** A person asks to go back: the annotation has a value that was not answered yet. */
async function answerRollback(
  tending: Tending,
  repository: Repository,
  reader: Reader,
): Promise<boolean> {
  const { metadata, status = {} } = repository
  const wish = metadata.annotations?.[ROLLBACK_ANNOTATION]
  if (!wish || wish === status.rolledBack) return false
  const { deploy, lastGood, previousGood } = status
  const to = releaseOf(deploy) === lastGood ? previousGood : lastGood
  const answered = (now: RepositoryStatus): RepositoryStatus => ({ ...now, rolledBack: wish })
  const target = mainTarget(repository)
  if (deploy && to) {
    const why = `rolled back from ${short(deploy.commit)} because a person asked for it`
    const report = {
      commit: deploy.commit,
      state: 'failure' as const,
      description: why,
      ...(deploy.deploymentId ? { deploymentId: deploy.deploymentId } : {}),
    }
    if (await goBack(tending, repository, reader, { target, to, why, answered, report }))
      return true
  }
  return updateStatus(tending.deps, tending.live, tending.key, 'rollback', ({ status: now = {} }) =>
    answered(now),
  )
}

function sourceCondition(
  { conditions = [] }: RepositoryStatus,
  trouble: string | undefined,
  now: string,
): Condition[] {
  return withCondition(conditions, { type: 'Source', trouble, fine: 'GitHub answers' }, now)
}

/** GitHub is away: tried again later, and a person can see it. */
async function postpone(tending: Tending, error: GithubBusy): Promise<void> {
  const { deps, live, key, cluster } = tending
  deps.log.warn('a deploy waits for GitHub', { cluster, key, error })
  await updateStatus(deps, live, key, 'postpone', ({ status = {} }) => {
    const now = deps.clock.now()
    const attempts = (status.retry?.attempts ?? 0) + 1
    const pause = Math.min(RETRY_MS * 2 ** (attempts - 1), RETRY_MAX_MS)
    const atMs = Math.min(error.retryAtMs ?? now + pause, now + RETRY_FAR_MS)
    const at = formatTime(Math.max(atMs, now + 1000) + 999)
    return { ...status, retry: { at, attempts, asked: status.asked ?? 0, message: error.message } }
  })
}

/** GitHub says no: asked again at the next call or check. */
async function giveUp(tending: Tending, error: GithubRefusal): Promise<void> {
  const { deps, live, key, cluster } = tending
  deps.log.warn('GitHub refuses', { cluster, key, error })
  await updateStatus(deps, live, key, 'refused', ({ status = {}, metadata }) => {
    const { retry: _, ...rest } = status
    return {
      ...rest,
      looked: status.asked ?? 0,
      ...(metadata.generation === undefined ? {} : { observedGeneration: metadata.generation }),
      conditions: sourceCondition(status, error.message, formatTime(deps.clock.now())),
    }
  })
}

function nextTime({ live, key, deps }: Tending, { nextCheckMs }: Memory): number | undefined {
  const repository = readRepository(live.current, key)
  if (!repository) return undefined
  const { status = {} } = repository
  const times = [
    nextCheckMs,
    parseTime(status.retry?.at),
    deadlineOf(repository, status.deploy),
    firstExpiry(repository),
    ...(status.previews ?? []).map(({ deploy }) => deadlineOf(repository, deploy)),
  ].flatMap((time) => (time === undefined ? [] : [time]))
  const later = times.filter((time) => time > deps.clock.now())
  return later.length > 0 ? Math.min(...later) : undefined
}
