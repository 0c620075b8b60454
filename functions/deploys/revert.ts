// After an automatic rollback, when the Repository wants it: the pull request that makes Git agree.

import type { Repository, RevertState } from '#shared/api/repository.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { Tending } from './deps.ts'
import { GithubRefusal } from './github-errors.ts'
import type { RevertAnswer } from './github-revert.ts'
import { updateStatus } from './status.ts'

/** Opens what is wanted, once. True when something was committed. Error: GithubBusy. */
export async function tendRevert(
  tending: Tending,
  repository: Repository,
  reader: Reader,
): Promise<boolean> {
  const { revert } = repository.status ?? {}
  if (revert?.phase !== 'Wanted') return false
  const answer = await open(tending, repository, reader, revert)
  const { deps, live, key, cluster } = tending
  if ('refused' in answer) {
    deps.log.info('no revert pull request', { cluster, key, why: answer.refused })
  }
  return updateStatus(deps, live, key, 'revert', ({ status = {} }) => {
    if (status.revert?.commit !== revert.commit) return status
    const next: RevertState =
      'url' in answer
        ? { ...revert, phase: 'Open', url: answer.url }
        : { ...revert, phase: 'Refused', message: answer.refused }
    return { ...status, revert: next }
  })
}

async function open(
  tending: Tending,
  repository: Repository,
  reader: Reader,
  { commit, to, reason }: RevertState,
): Promise<RevertAnswer> {
  const { branch = 'main', tags } = repository.spec
  if (tags) return { refused: 'tags are deployed, there is no branch to take it back on' }
  try {
    const github = await tending.github(repository, reader)
    return await github.openRevert({ branch, bad: commit, good: to, reason })
  } catch (error) {
    if (error instanceof GithubRefusal) return { refused: error.message }
    throw error
  }
}
