// Where a Repository deploys to: its branch, and each pull request that has a preview. The same steps
// serve both.

import {
  deploySettings,
  type DeployState,
  type Repository,
  type RepositoryStatus,
  type TargetState,
} from '#shared/api/repository.ts'

export interface Target {
  /** The pull request; undefined: the branch. */
  pull?: number
  /** `default/web`, `default/web#7`: marks what belongs to it. */
  owner: string
  namespace: string
  /** GitHub's environment. */
  environment: string
  /** Begins the names of what is kept for rollbacks. */
  prefix: string
}

export function mainTarget(repository: Repository): Target {
  const { namespace, environment } = deploySettings(repository)
  const { metadata } = repository
  return {
    owner: `${metadata.namespace}/${metadata.name}`,
    namespace,
    environment,
    prefix: `${metadata.name}-release-`,
  }
}

export function previewTarget(repository: Repository, pull: number): Target {
  const { metadata } = repository
  return {
    pull,
    owner: `${metadata.namespace}/${metadata.name}#${pull}`,
    namespace: previewNamespace(repository, pull),
    environment: `preview-${pull}`,
    prefix: `${metadata.name}-preview-${pull}-release-`,
  }
}

/** A DNS label, whatever the length of the names. */
export function previewNamespace({ metadata }: Repository, pull: number): string {
  const suffix = `-pr-${pull}`
  return `${metadata.namespace}-${metadata.name}`.slice(0, 63 - suffix.length) + suffix
}

export function stateOf(status: RepositoryStatus, { pull }: Target): TargetState {
  if (pull === undefined) return status
  return status.previews?.find(({ number }) => number === pull) ?? {}
}

/** The status with another state of this target. */
export function withState(
  status: RepositoryStatus,
  { pull }: Target,
  state: { deploy: DeployState; lastGood?: string | undefined; previousGood?: string | undefined },
): RepositoryStatus {
  const { deploy, lastGood, previousGood } = state
  if (pull === undefined) {
    return {
      ...status,
      deploy,
      ...(lastGood ? { lastGood } : {}),
      ...(previousGood ? { previousGood } : {}),
    }
  }
  return {
    ...status,
    previews: (status.previews ?? []).map((preview) =>
      preview.number === pull ? { ...preview, deploy, ...(lastGood ? { lastGood } : {}) } : preview,
    ),
  }
}

/** What of a target's deploy is kept under: its commit, and its images where it has some. */
export function releaseOf(deploy: DeployState): string
export function releaseOf(deploy: DeployState | undefined): string | undefined
export function releaseOf(deploy: DeployState | undefined): string | undefined {
  return deploy && (deploy.release ?? deploy.commit)
}
