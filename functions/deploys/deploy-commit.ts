// One deploy: fetch the tree, render it, check everything, and commit all objects together with what
// the Repository says of them. Whatever fails before that one commit leaves the cluster as it was; a
// crash leaves the question unanswered, and the next run starts again.

import {
  deploySettings,
  type DeployReport,
  type DeployState,
  type ImagePin,
  type Repository,
  type RepositoryStatus,
} from '#shared/api/repository.ts'
import { short } from '#shared/deploy/events.ts'
import { pinsInUse, releaseId } from '#shared/deploy/images.ts'
import type { Manifest } from '#shared/deploy/manifest.ts'
import { costOf, shownCost } from '#shared/deploy/cost.ts'
import { checkFork, preferSpot } from '#shared/deploy/preview-rules.ts'
import { renderTree } from '#shared/deploy/render.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import type { Write } from '#shared/ports/store.ts'
import { isReason, StatusError } from '#shared/status.ts'
import { formatTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { Tending } from './deps.ts'
import { GithubBusy } from './github-errors.ts'
import type { Github, Head } from './github.ts'
import { announce, withReport } from './outbox.ts'
import { planApply, type ApplyPlan } from './plan.ts'
import { packManifests, readRelease, releaseWrites } from './release.ts'
import { RENDER_TOOLS } from './render-tools.ts'
import { DEPLOY_ACTOR, isLostRace, readRepository, statusWrite, updateStatus } from './status.ts'
import { mainTarget, releaseOf, stateOf, withState, type Target } from './targets.ts'
import { readTarball } from './tarball.ts'

const ATTEMPTS_MAX = 20
const REFUSALS = ['Invalid', 'RequestEntityTooLarge', 'Forbidden'] as const
const CHANGES_SHOWN = 20

export interface DeployRequest {
  target: Target
  head: Head
  /**
   * The release that was deployed when GitHub was asked. When it is another one by now, somebody else
   * was faster, and may have had the newer answer: then nothing is done.
   */
  basis: string | undefined
  /** What the answered question makes of the status, in the same commit. */
  answered: (status: RepositoryStatus, repository: Repository) => RepositoryStatus
  /** A pull request's: objects that come with it (its namespace, its bounds), and whose it is. */
  preview?: { extra: readonly Manifest[]; isFork: boolean }
}

/** Deploys a commit from GitHub, or refuses it. Errors: GithubBusy, GithubRefusal. */
export async function deployCommit(
  tending: Tending,
  repository: Repository,
  github: Github,
  request: DeployRequest,
): Promise<void> {
  const { target, head } = request
  const [deploymentId, rendered] = await Promise.all([
    announce(tending, github, target, head.commit),
    fetchManifests(repository, github, request),
  ])
  if (rendered instanceof StatusError) {
    await refuse(tending, request, rendered.message, deploymentId)
    return
  }
  const cost = request.preview && (await previewCost(tending, repository, rendered))
  const isSpot = request.preview !== undefined && repository.spec.previews?.spot !== false
  const placed = isSpot ? preferSpot(rendered) : rendered
  const manifests = [...(request.preview?.extra ?? []), ...placed]
  await applyManifests(tending, {
    ...request,
    manifests,
    deploymentId,
    phase: 'Progressing',
    ...(cost === undefined ? {} : { cost }),
  })
}

/** What merging would change, against what the branch runs now. */
async function previewCost(
  { live }: Tending,
  repository: Repository,
  manifests: readonly Manifest[],
): Promise<string> {
  const { lastGood } = repository.status ?? {}
  const main = mainTarget(repository)
  const present = lastGood
    ? (await readRelease(live.current, repository, main, lastGood))?.manifests
    : undefined
  const isSpot = repository.spec.previews?.spot !== false
  return shownCost(costOf(present ?? []), costOf(manifests), costOf(manifests, { isSpot }))
}

async function fetchManifests(
  repository: Repository,
  github: Github,
  { head, preview }: DeployRequest,
): Promise<Manifest[] | StatusError> {
  const { path } = deploySettings(repository)
  try {
    const tree = await readTarball(await github.tarball(head.commit), path)
    const manifests = renderTree(tree, path, RENDER_TOOLS)
    if (preview?.isFork) checkFork(manifests)
    return manifests
  } catch (error) {
    if (isReason(error, 'Invalid')) return error
    throw error
  }
}

export interface ApplyRequest extends DeployRequest {
  manifests: readonly Manifest[]
  /** What containers are pinned to; what the Repository's status says unless said otherwise. */
  images?: readonly ImagePin[]
  deploymentId: number | undefined
  phase: 'Progressing' | 'RollingBack'
  /** The bad commit, when an older one is applied again. */
  instead?: string
  message?: string
  report?: DeployReport
  cost?: string
}

/** Commits all objects, or refuses all. */
export async function applyManifests(tending: Tending, request: ApplyRequest): Promise<void> {
  const packed = await packManifests(request.manifests)
  for (let attempt = 1; ; attempt++) {
    const reader = await tending.live.catchUp()
    const repository = readRepository(reader, tending.key)
    if (!repository || isBeaten(repository, request)) return
    try {
      await commitAll(tending, reader, repository, request, packed)
      return
    } catch (error) {
      if (REFUSALS.some((reason) => isReason(error, reason))) {
        await refuse(tending, request, messageOf(error), request.deploymentId)
        return
      }
      if (!isLostRace(error)) throw error
      // An object that is on its way out cannot be replaced yet.
      if (attempt >= ATTEMPTS_MAX) throw new GithubBusy(String(error))
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function isBeaten({ status = {} }: Repository, { target, basis }: DeployRequest): boolean {
  return releaseOf(stateOf(status, target).deploy) !== basis
}

async function commitAll(
  { deps, live, cluster, key }: Tending,
  reader: Reader,
  repository: Repository,
  request: ApplyRequest,
  packed: string,
): Promise<void> {
  const { target, head, manifests } = request
  const now = deps.clock.now()
  const state = stateOf(repository.status ?? {}, target)
  const { lastGood, previousGood, deploy } = state
  const former = await Promise.all(
    [lastGood, releaseOf(deploy)].map(async (release) =>
      release ? (await readRelease(reader, repository, target, release))?.manifests : undefined,
    ),
  )
  const previous = former.flatMap((each) => each ?? [])
  const images = imagesOf(repository, request)
  const id = releaseId(head.commit, images)
  const commit = head.commit
  const plan = planApply({ reader, repository, target, manifests, images, commit, previous, now })
  const kept = releaseWrites(reader, repository, target, {
    id,
    packed,
    images,
    keep: [lastGood, previousGood],
    now,
  })
  const status = progressing(repository, request, plan, { now, id, images })
  const own = statusWrite(repository, status)
  const writes: Write[] = [...plan.writes, ...kept, ...(own ? [own] : [])]
  await live.commit({
    id: deps.newId(),
    cause: {
      actor: DEPLOY_ACTOR,
      verb: 'deploy',
      detail: `${repository.spec.repository} ${head.commit} ${key}`,
    },
    writes,
    decisions: [
      {
        key,
        by: 'deploys',
        text: `${short(head.commit)}: ${plan.created.length} created, ${plan.changed.length} changed, ${plan.pruned.length} removed of ${plan.keys.length} objects`,
      },
    ],
  })
  await deps.bus
    .publish(TOPICS.changes, { attributes: { cluster }, data: '{}', orderingKey: cluster })
    .catch((error: unknown) => {
      deps.log.warn('publishing a change failed; the sweep will deliver it', { cluster, error })
    })
}

function progressing(
  repository: Repository,
  request: ApplyRequest,
  plan: ApplyPlan,
  { now, id, images }: { now: number; id: string; images: readonly ImagePin[] },
): RepositoryStatus {
  const { target, head, phase, instead, message, deploymentId, cost } = request
  const deploy: DeployState = {
    commit: head.commit,
    subject: head.subject,
    phase,
    message: message ?? 'the objects are applied, the rollout is followed',
    startedAt: formatTime(now),
    objects: plan.keys.length,
    created: plan.created.length,
    changed: plan.changed.length,
    pruned: plan.pruned.length,
    changes: [
      ...plan.created.map((key) => `+ ${key}`),
      ...plan.changed.map((key) => `~ ${key}`),
      ...plan.pruned.map((key) => `- ${key}`),
    ].slice(0, CHANGES_SHOWN),
    ...(deploymentId ? { deploymentId } : {}),
    ...(instead ? { instead } : {}),
    ...(cost ? { cost } : {}),
    ...(id === head.commit ? {} : { release: id }),
  }
  const status = superseded(repository, target, head.commit)
  const state = stateOf(status, target)
  const next = withState(status, target, { ...state, deploy })
  const { drift: _, images: __, ...rest } = request.answered(next, repository)
  const kept = target.pull === undefined ? images : (status.images ?? [])
  const all = kept.length > 0 ? { ...rest, images: [...kept] } : rest
  return request.report ? withReport(all, request.report) : all
}

/** Previews run what their commit says. */
function imagesOf({ status }: Repository, request: ApplyRequest): ImagePin[] {
  if (request.target.pull !== undefined) return []
  return pinsInUse(request.manifests, request.images ?? status?.images ?? [])
}

/** A deploy that was still under way will never be good or bad: GitHub is told so. */
function superseded(repository: Repository, target: Target, commit: string): RepositoryStatus {
  const status = repository.status ?? {}
  const old = stateOf(status, target).deploy
  if (!old || old.commit === commit || old.phase !== 'Progressing') return status
  return withReport(status, {
    commit: old.commit,
    state: 'error',
    description: `superseded by ${short(commit)} before it was rolled out`,
    ...(old.deploymentId ? { deploymentId: old.deploymentId } : {}),
  })
}

/** Nothing is applied; the Repository and GitHub say why. */
async function refuse(
  tending: Tending,
  request: DeployRequest,
  message: string,
  deploymentId: number | undefined,
): Promise<void> {
  const { target, head, answered } = request
  const { deps, live, key } = tending
  deps.log.info('a deploy was refused', { cluster: tending.cluster, key, commit: head.commit })
  await updateStatus(deps, live, key, 'refuse', (repository) => {
    if (isBeaten(repository, request)) return repository.status ?? {}
    const now = formatTime(deps.clock.now())
    const status = superseded(repository, target, head.commit)
    const deploy: DeployState = {
      commit: head.commit,
      subject: head.subject,
      phase: 'Refused',
      message,
      startedAt: now,
      finishedAt: now,
      ...(deploymentId ? { deploymentId } : {}),
    }
    const next = answered(
      withState(status, target, { ...stateOf(status, target), deploy }),
      repository,
    )
    return withReport(next, {
      commit: head.commit,
      state: 'failure',
      description: message,
      ...(deploymentId ? { deploymentId } : {}),
      ...(target.pull === undefined
        ? {}
        : { pull: target.pull, details: `Nothing was applied:\n\n> ${message}` }),
    })
  })
}
