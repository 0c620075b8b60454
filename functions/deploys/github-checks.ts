// Check runs: what a GitHub App reports instead of commit statuses. They hold more text, and their
// button asks for the deploy again. https://docs.github.com/en/rest/checks/runs

import type { CommitStatus } from './github.ts'
import { id, objects, request, textOf, type GithubOptions } from './github-request.ts'
import { isObject } from '#shared/patch/json.ts'

/** Marks the check runs that are ours, whatever other apps call theirs. */
const OURS = 'wherry'
const TITLE_MAX = 140
const SUMMARY_MAX = 10_000

const CONCLUSION = { success: 'success', failure: 'failure', error: 'cancelled' } as const

/** One check run a commit and name: made, or brought up to date. */
export async function setCheckRun(
  options: GithubOptions,
  commit: string,
  { state, description, context, url, details }: CommitStatus,
): Promise<void> {
  const at = `/repos/${options.repository}`
  const query = `check_name=${encodeURIComponent(context)}&filter=latest&per_page=100`
  const found = await request(options, 'GET', `${at}/commits/${commit}/check-runs?${query}`)
  const present = objects(isObject(found) ? found['check_runs'] : []).find(
    (run) => textOf(run, 'external_id') === OURS,
  )
  const progress =
    state === 'pending'
      ? { status: 'in_progress' }
      : { status: 'completed', conclusion: CONCLUSION[state] }
  const run = {
    name: context,
    head_sha: commit,
    external_id: OURS,
    ...progress,
    ...(url ? { details_url: url } : {}),
    output: {
      title: description.slice(0, TITLE_MAX),
      summary: (details ?? description).slice(0, SUMMARY_MAX),
    },
  }
  if (present) await request(options, 'PATCH', `${at}/check-runs/${id(present)}`, run)
  else await request(options, 'POST', `${at}/check-runs`, run)
}
