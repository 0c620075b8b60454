// A preview per pull request: a namespace of its own, there while the pull request is open and carries
// the label, gone afterwards. Those of forks, whose authors are anybody, get one only for a commit that
// somebody has approved, and never see a Secret.

import {
  deploySettings,
  type PreviewState,
  type Repository,
  type RepositoryStatus,
} from '#shared/api/repository.ts'
import type { Secret } from '#shared/api/config.ts'
import { namespaceKind } from '#shared/api/namespace.ts'
import type { Manifest } from '#shared/deploy/manifest.ts'
import { keyOf } from '#shared/key.ts'
import type { Write } from '#shared/ports/store.ts'
import { formatTime, parseTime } from '#shared/time.ts'
import type { Reader } from '#shared/view/reader.ts'
import { planDelete } from '../api/deletion.ts'
import { unversioned } from '../api/storage.ts'
import { deployCommit } from './deploy-commit.ts'
import type { Tending } from './deps.ts'
import { GithubRefusal } from './github-errors.ts'
import type { PullRequest } from './github.ts'
import { withReport } from './outbox.ts'
import { updateStatus } from './status.ts'
import { previewTarget } from './targets.ts'

const HOUR = 3_600_000

/** Answers what was asked of previews, and ends those whose time is up. True: something was done. */
export async function tendPreviews(
  tending: Tending,
  repository: Repository,
  reader: Reader,
): Promise<boolean> {
  const now = tending.deps.clock.now()
  for (const preview of repository.status?.previews ?? []) {
    if (isOver(repository, preview, now)) {
      await end(tending, preview, 'its time is up')
      return true
    }
    if (preview.asked > preview.looked) {
      await look(tending, repository, reader, preview)
      return true
    }
  }
  return false
}

/** When the first preview's time is up. */
export function firstExpiry({ status }: Repository): number | undefined {
  const times = (status?.previews ?? []).flatMap(({ expiresAt }) => parseTime(expiresAt) ?? [])
  return times.length > 0 ? Math.min(...times) : undefined
}

function isOver({ spec }: Repository, { expiresAt }: PreviewState, now: number): boolean {
  if (!spec.previews?.enabled) return true
  const end = parseTime(expiresAt)
  return end !== undefined && end <= now
}

async function look(
  tending: Tending,
  repository: Repository,
  reader: Reader,
  preview: PreviewState,
): Promise<void> {
  const github = await tending.github(repository, reader)
  let pull: PullRequest | undefined
  try {
    pull = await github.pull(preview.number)
  } catch (error) {
    if (!(error instanceof GithubRefusal)) throw error
    await end(tending, preview, error.message)
    return
  }
  const why = reasonAgainst(repository, pull, preview)
  if (why !== undefined || !pull) {
    await end(tending, preview, why ?? 'there is no such pull request')
    return
  }
  const target = previewTarget(repository, preview.number)
  const isKnown = preview.deploy?.commit === pull.commit
  const answered = answer(tending, repository, preview, { ...target, isFork: pull.isFork })
  if (isKnown) {
    await updateStatus(tending.deps, tending.live, tending.key, 'looked', ({ status = {} }) =>
      answered(status),
    )
    return
  }
  const head = { commit: pull.commit, subject: pull.subject }
  await deployCommit(tending, repository, github, {
    target,
    head,
    basis: preview.deploy?.commit,
    answered,
    preview: { isFork: pull.isFork, extra: extraOf(repository, reader, target.namespace, pull) },
  })
}

/** Why this pull request has no preview; undefined: it has one. */
function reasonAgainst(
  { spec }: Repository,
  pull: PullRequest | undefined,
  { approved }: PreviewState,
): string | undefined {
  if (!pull?.isOpen) return 'the pull request is closed'
  const { forks, approvalLabel = '', label = '' } = spec.previews ?? {}
  if (pull.isFork) {
    if (forks !== 'Approved') return 'it comes from a fork'
    if (!pull.labels.includes(approvalLabel) || approved !== pull.commit) {
      return `it comes from a fork, and this commit is not approved: put the label "${approvalLabel}" on it, anew after each push`
    }
  }
  return label === '' || pull.labels.includes(label) ? undefined : `it has no label "${label}"`
}

function answer(
  { deps }: Tending,
  { spec }: Repository,
  { number, asked }: PreviewState,
  { namespace, isFork }: { namespace: string; isFork: boolean },
): (status: RepositoryStatus) => RepositoryStatus {
  const hours = spec.previews?.ttlHours ?? 0
  const expiresAt = formatTime(deps.clock.now() + hours * HOUR)
  return (status) => ({
    ...status,
    previews: (status.previews ?? []).map((each) =>
      each.number === number
        ? {
            ...each,
            namespace,
            ...(isFork ? { isFork } : {}),
            looked: Math.max(each.looked, asked),
            ...(hours > 0 ? { expiresAt } : {}),
          }
        : each,
    ),
  })
}

/** What a preview has beside the manifests: its namespace, a bound, and Secrets unless it is a fork's. */
function extraOf(
  { spec, metadata }: Repository,
  reader: Reader,
  namespace: string,
  { isFork }: PullRequest,
): Manifest[] {
  const { quota = {}, secrets = [] } = spec.previews ?? {}
  const extra: Manifest[] = [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }]
  if (Object.keys(quota).length > 0) {
    const limited = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'preview' } }
    extra.push({ ...limited, spec: { hard: quota } })
  }
  if (isFork) return extra
  const home = spec.targetNamespace ?? metadata.namespace
  for (const name of secrets) {
    const secret: Secret | undefined = reader.get(keyOf('secrets', home, name))
    if (!secret) continue
    const { type = 'Opaque', data = {} } = secret
    extra.push({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, type, data })
  }
  return extra
}

/** The namespace goes with everything in it, and GitHub hears of it. */
async function end(tending: Tending, preview: PreviewState, why: string): Promise<void> {
  const { deps, live, key } = tending
  await updateStatus(deps, live, key, 'end-preview', (repository, reader) => {
    const status = repository.status ?? {}
    const now = status.previews?.find(({ number }) => number === preview.number)
    // Asked again meanwhile: then it is looked at again.
    if (!now || now.asked !== preview.asked) return status
    const previews = status.previews?.filter((each) => each !== now) ?? []
    const { previews: _, ...rest } = status
    const next = previews.length > 0 ? { ...rest, previews } : rest
    return {
      status: reported(next, now, why),
      writes: removal(repository, reader, now, deps.clock.now()),
    }
  })
}

function reported(
  status: RepositoryStatus,
  { number, deploy }: PreviewState,
  why: string,
): RepositoryStatus {
  if (!deploy) return status
  return withReport(status, {
    commit: deploy.commit,
    state: 'inactive',
    description: `the preview is gone: ${why}`,
    ...(deploy.deploymentId ? { deploymentId: deploy.deploymentId } : {}),
    pull: number,
    details: `The preview is gone: ${why}.`,
  })
}

function removal(
  repository: Repository,
  reader: Reader,
  { number, namespace }: PreviewState,
  now: number,
): Write[] {
  // Never a namespace that is not this preview's own.
  if (namespace !== previewTarget(repository, number).namespace) return []
  if (namespace === deploySettings(repository).namespace) return []
  const key = keyOf('namespaces', '', namespace)
  const stored = reader.get(key)
  if (!stored) return []
  const plan = planDelete(namespaceKind, stored, {}, now)
  if (plan.do !== 'mark') return []
  return [
    { key, object: unversioned(plan.object), expect: stored.metadata.resourceVersion ?? null },
  ]
}
