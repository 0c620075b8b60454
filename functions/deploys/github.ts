// The part of GitHub's REST API that deploys need. Bounded in time and size; reads of heads are
// conditional, so that asking when nothing has changed costs nothing of the rate limit.
// https://docs.github.com/en/rest

import { isObject } from '#shared/patch/json.ts'
import { highestTag, matchesTag, tagPrefix } from '#shared/deploy/tags.ts'
import { setCheckRun } from './github-checks.ts'
import { GithubBusy } from './github-errors.ts'
import {
  download,
  fullName,
  id,
  objects,
  orNothing,
  request,
  sha,
  textOf,
  type GithubOptions,
} from './github-request.ts'
import { openRevert, type RevertAnswer, type RevertRequest } from './github-revert.ts'

export interface Head {
  commit: string
  /** First line of the message. */
  subject: string
  /** The tag, where a pattern of tags is deployed. */
  tag?: string
}

export interface PullRequest {
  isOpen: boolean
  commit: string
  subject: string
  labels: string[]
  /** From another repository than its base. */
  isFork: boolean
}

export interface CommitStatus {
  state: 'pending' | 'success' | 'failure' | 'error'
  description: string
  context: string
  url?: string
  /** In Markdown; only a check run shows it. */
  details?: string
}

export interface Github {
  /** The branch's newest commit; undefined when there is no such branch. */
  branchHead(branch: string): Promise<Head | undefined>
  /** The commit of the highest tag that matches; undefined when none does. */
  tagHead(pattern: string): Promise<Head | undefined>
  pull(number: number): Promise<PullRequest | undefined>
  /** The gzipped tar of the tree at a commit. */
  tarball(commit: string): Promise<ReadableStream<Uint8Array>>
  /** A commit status; of a GitHub App a check run, which people can ask to run again. */
  setStatus(commit: string, status: CommitStatus): Promise<void>
  /** The id of GitHub's Deployment for this commit and environment, made when there is none. */
  deployment(commit: string, environment: string, isPreview: boolean): Promise<number>
  setDeploymentStatus(id: number, state: string, text: string, url?: string): Promise<void>
  /** One comment a pull request, found again by its marker. */
  setComment(pull: number, marker: string, text: string): Promise<void>
  /** Opens the pull request that takes `bad` back to the tree of `good`, once. */
  openRevert(revert: RevertRequest): Promise<RevertAnswer>
}

const TEXT_MAX = 140

export function createGithub(options: GithubOptions): Github {
  const { repository } = options
  const at = `/repos/${repository}`
  const call = (method: string, path: string, body?: unknown): Promise<unknown> =>
    request(options, method, path, body)

  async function commitAt(reference: string): Promise<Head | undefined> {
    const found = await orNothing(call('GET', `${at}/commits/${encodeURIComponent(reference)}`))
    if (!isObject(found)) return undefined
    const { commit } = found
    const message = isObject(commit) ? textOf(commit, 'message') : ''
    return { commit: sha(found), subject: message.split('\n')[0]?.slice(0, TEXT_MAX) ?? '' }
  }

  return {
    branchHead: (branch) => commitAt(`heads/${branch}`),

    async tagHead(pattern) {
      const path = `${at}/git/matching-refs/tags/${encodeURIComponent(tagPrefix(pattern))}`
      const refs = await orNothing(call('GET', `${path}?per_page=100`))
      const names = objects(refs).map((ref) => textOf(ref, 'ref').replace(/^refs\/tags\//, ''))
      const tag = highestTag(names.filter((name) => matchesTag(pattern, name)))
      const head = tag === undefined ? undefined : await commitAt(`tags/${tag}`)
      return head && tag !== undefined ? { ...head, tag } : undefined
    },

    async pull(number) {
      const pull = await orNothing(call('GET', `${at}/pulls/${number}`))
      if (!isObject(pull)) return undefined
      const { head, base } = pull
      if (!isObject(head) || !isObject(base)) throw new GithubBusy('GitHub answers nonsense (pull)')
      return {
        isOpen: textOf(pull, 'state') === 'open',
        commit: sha(head),
        subject: textOf(pull, 'title').slice(0, TEXT_MAX),
        labels: objects(pull['labels']).map((label) => textOf(label, 'name')),
        // A head without a repository was deleted: not ours either.
        isFork: fullName(head).toLowerCase() !== fullName(base).toLowerCase(),
      }
    },

    tarball: (commit) => download(options, `${at}/tarball/${commit}`),

    async setStatus(commit, status) {
      if (options.isApp) {
        await setCheckRun(options, commit, status)
        return
      }
      const { state, description, context, url } = status
      await call('POST', `${at}/statuses/${commit}`, {
        state,
        description: description.slice(0, TEXT_MAX),
        context,
        ...(url ? { target_url: url } : {}),
      })
    },

    async deployment(commit, environment, isPreview) {
      const query = `sha=${commit}&environment=${encodeURIComponent(environment)}&per_page=1`
      const [present] = objects(await call('GET', `${at}/deployments?${query}`))
      if (present) return id(present)
      const made = await call('POST', `${at}/deployments`, {
        ref: commit,
        environment,
        auto_merge: false,
        required_contexts: [],
        description: 'Wherry',
        transient_environment: isPreview,
        production_environment: environment === 'production',
      })
      return id(made)
    },

    async setDeploymentStatus(deployment, state, text, url) {
      await call('POST', `${at}/deployments/${deployment}/statuses`, {
        state,
        description: text.slice(0, TEXT_MAX),
        auto_inactive: true,
        ...(url ? { environment_url: url } : {}),
      })
    },

    async setComment(pull, marker, text) {
      const path = `${at}/issues/${pull}/comments?per_page=100`
      const present = objects(await call('GET', path)).find((comment) =>
        textOf(comment, 'body').startsWith(marker),
      )
      const body = { body: `${marker}\n${text}` }
      if (!present) await call('POST', `${at}/issues/${pull}/comments`, body)
      else if (textOf(present, 'body') !== body.body) {
        await call('PATCH', `${at}/issues/comments/${id(present)}`, body)
      }
    },

    openRevert: (revert) => openRevert(options, revert),
  }
}
