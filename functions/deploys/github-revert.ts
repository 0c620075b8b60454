// The pull request that takes a commit back on GitHub, after the cluster went back: a commit on top of
// the branch whose tree is that of the commit that runs, on a branch of its own. Everything is named
// after the bad commit, so that asking twice finds what is there.
// https://docs.github.com/en/rest/git

import { isObject } from '#shared/patch/json.ts'
import { GithubBusy } from './github-errors.ts'
import { objects, orNothing, request, sha, textOf, type GithubOptions } from './github-request.ts'

export interface RevertRequest {
  /** The branch that is deployed. */
  branch: string
  bad: string
  /** The commit that runs again. */
  good: string
  reason: string
}

/** `url` is that of the pull request; or why there is none. */
export type RevertAnswer = { url: string } | { refused: string }

/** Errors: GithubBusy, GithubRefusal (the token may not write). */
export async function openRevert(
  options: GithubOptions,
  { branch, bad, good, reason }: RevertRequest,
): Promise<RevertAnswer> {
  const { repository } = options
  const at = `/repos/${repository}`
  const call = (method: string, path: string, body?: unknown): Promise<unknown> =>
    request(options, method, `${at}${path}`, body)
  const name = `wherry/revert-${bad.slice(0, 12)}`
  const [owner = ''] = repository.split('/')
  const query = `head=${encodeURIComponent(`${owner}:${name}`)}&state=all&per_page=1`
  const [present] = objects(await call('GET', `/pulls?${query}`))
  if (present) return { url: urlOf(present) }
  const head = await orNothing(call('GET', `/git/ref/heads/${branch}`))
  if (!isObject(head) || !isObject(head['object'])) return { refused: `there is no ${branch}` }
  // A newer commit decides for itself, and a revert on top of it might undo it as well.
  if (sha(head['object']) !== bad) return { refused: `${branch} has moved on` }
  if (!(await orNothing(call('GET', `/git/ref/heads/${name}`)))) {
    const commit = await revertCommit(call, { bad, good, reason })
    await call('POST', '/git/refs', { ref: `refs/heads/${name}`, sha: commit })
  }
  const made = await call('POST', '/pulls', {
    title: `Revert ${bad.slice(0, 7)}: its rollout failed`,
    head: name,
    base: branch,
    body: `The rollout of ${bad} failed, and the cluster went back to ${good}.\n\n> ${reason}\n\nThis brings the branch to what runs.`,
  })
  return { url: urlOf(made) }
}

async function revertCommit(
  call: (method: string, path: string, body?: unknown) => Promise<unknown>,
  { bad, good, reason }: Omit<RevertRequest, 'branch'>,
): Promise<string> {
  const goodCommit = await call('GET', `/git/commits/${good}`)
  const tree = isObject(goodCommit) && isObject(goodCommit['tree']) ? goodCommit['tree'] : {}
  const made = await call('POST', '/git/commits', {
    message: `Revert ${bad.slice(0, 7)}: its rollout failed\n\n${reason}\n\nThis is the tree of ${good}.`,
    tree: sha(tree),
    parents: [bad],
  })
  if (!isObject(made)) throw new GithubBusy('GitHub answers no commit')
  return sha(made)
}

function urlOf(pull: unknown): string {
  const url = isObject(pull) ? textOf(pull, 'html_url') : ''
  if (!/^https?:\/\//.test(url)) throw new GithubBusy('GitHub answers no pull request')
  return url
}
