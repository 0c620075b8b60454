// What Git owns and a hand has changed: reported, or put back when the Repository says so. Read from
// the view and the kept release, so it costs nothing at GitHub.

import type { Repository } from '#shared/api/repository.ts'
import { isReason } from '#shared/status.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { Tending } from './deps.ts'
import { planApply, type ApplyPlan } from './plan.ts'
import { readRelease } from './release.ts'
import { updateStatus } from './status.ts'
import { mainTarget, releaseOf } from './targets.ts'

const SHOWN_MAX = 20

/** True when something was committed. */
export async function tendDrift(
  { deps, live, key }: Tending,
  repository: Repository,
  reader: Reader,
): Promise<boolean> {
  const { deploy } = repository.status ?? {}
  const policy = repository.spec.drift ?? 'Report'
  if (policy === 'Ignore' || deploy?.phase !== 'Healthy') return false
  const target = mainTarget(repository)
  const release = await readRelease(reader, repository, target, releaseOf(deploy))
  if (!release) return false
  const { manifests, images } = release
  const planNow = (now: Repository, at: Reader): ApplyPlan | undefined => {
    try {
      return planApply({
        reader: at,
        // What is left over of former deploys is not drift.
        repository: { ...now, spec: { ...now.spec, prune: { enabled: false } } },
        target,
        manifests,
        images,
        commit: deploy.commit,
        previous: [],
        now: deps.clock.now(),
      })
    } catch (error) {
      if (isReason(error, 'Invalid') || isReason(error, 'Conflict')) return undefined
      throw error
    }
  }
  const plan = planNow(repository, reader)
  const found = plan ? [...plan.created, ...plan.changed].slice(0, SHOWN_MAX) : []
  if (found.length === 0 && !repository.status?.drift) return false
  return updateStatus(deps, live, key, 'drift', (now, at) => {
    const { drift: _, ...rest } = now.status ?? {}
    if (releaseOf(now.status?.deploy) !== releaseOf(deploy)) return now.status ?? {}
    if (policy === 'Heal') return { status: rest, writes: planNow(now, at)?.writes ?? [] }
    return found.length > 0 ? { ...rest, drift: found } : rest
  })
}
