// What a GitHub event means for a Repository. A payload is a hint only: what is deployed is asked from
// GitHub afterwards, so events may come twice, late or in any order.

import type { ImageEvent, PreviewPolicy, Repository } from '../api/repository.ts'
import { isObject, type JsonObject } from '../patch/json.ts'
import { matchesTag } from './tags.ts'

/** Events that can lead to something; all others are acknowledged and ignored by name. */
export const KNOWN_EVENTS: ReadonlySet<string> = new Set([
  'ping',
  'push',
  'create',
  'delete',
  'pull_request',
  'release',
  'registry_package',
  'package',
  'workflow_run',
  'deployment',
  'check_run',
])

type BuiltImage = Omit<ImageEvent, 'id'>

/** What a Repository makes of an event. */
export type Meaning =
  | { do: 'ignore' }
  /** Worth remembering, nothing to deploy. */
  | { do: 'note'; outcome: string }
  /** Ask GitHub which commit shall run. `again`: also if that commit failed or was taken back. */
  | { do: 'look'; outcome: string; again?: string; image?: BuiltImage }
  /** Something was built that an object may have asked for. */
  | { do: 'image'; outcome: string; image: BuiltImage }
  /** `approved`: a fork's commit that somebody has approved with this very event. */
  | { do: 'preview'; number: number; outcome: string; approved?: string }

const IGNORE: Meaning = { do: 'ignore' }

/** `owner/name` in a payload, as GitHub writes it. */
export function repositoryIn(payload: JsonObject): string {
  const { repository } = payload
  return isObject(repository) ? text(repository, 'full_name') : ''
}

/** `pull_request.opened`, or the event's name alone. */
export function shownEvent(event: string, payload: JsonObject): string {
  const action = text(payload, 'action')
  return action ? `${event}.${action}` : event
}

/** GitHub's names do not distinguish upper and lower case. */
export function isAbout({ spec }: Repository, payload: JsonObject): boolean {
  return spec.repository.toLowerCase() === repositoryIn(payload).toLowerCase()
}

export function meaningOf(event: string, payload: JsonObject, repository: Repository): Meaning {
  switch (event) {
    case 'ping':
      return { do: 'note', outcome: 'the webhook works' }
    case 'push':
      return pushed(payload, repository)
    case 'create':
      return text(payload, 'ref_type') === 'tag' ? tagged(text(payload, 'ref'), repository) : IGNORE
    case 'delete':
      return deleted(text(payload, 'ref_type'), text(payload, 'ref'), repository)
    case 'release':
      return released(payload, repository)
    case 'pull_request':
      return pulled(payload, repository)
    case 'workflow_run':
      return ran(payload, repository)
    case 'check_run':
      return rerequested(payload, repository)
    case 'package':
    case 'registry_package':
      return built(payload[event], payload)
    default:
      return IGNORE
  }
}

const BRANCH = 'refs/heads/'
const TAG = 'refs/tags/'

function pushed(payload: JsonObject, repository: Repository): Meaning {
  const ref = text(payload, 'ref')
  const isDeleted = payload['deleted'] === true
  if (ref.startsWith(TAG)) {
    const tag = ref.slice(TAG.length)
    return isDeleted ? deleted('tag', tag, repository) : tagged(tag, repository)
  }
  if (!ref.startsWith(BRANCH)) return IGNORE
  const branch = ref.slice(BRANCH.length)
  if (isDeleted) return deleted('branch', branch, repository)
  if (!isBranch(repository, branch)) return IGNORE
  const how = payload['forced'] === true ? 'forced push' : 'push'
  return { do: 'look', outcome: `${how} of ${short(text(payload, 'after'))}` }
}

function tagged(tag: string, { spec }: Repository): Meaning {
  if (!spec.tags || !matchesTag(spec.tags, tag)) return IGNORE
  return { do: 'look', outcome: `tag ${tag}` }
}

/** What runs stays: Git has said nothing about what shall run instead. */
function deleted(type: string, ref: string, repository: Repository): Meaning {
  const { tags } = repository.spec
  const isOurs =
    type === 'branch' ? isBranch(repository, ref) : tags !== undefined && matchesTag(tags, ref)
  return isOurs
    ? { do: 'note', outcome: `the ${type} ${ref} was deleted: what runs is left as it is` }
    : IGNORE
}

function released(payload: JsonObject, repository: Repository): Meaning {
  const { release } = payload
  const isOut = ['published', 'released'].includes(text(payload, 'action'))
  return isOut && isObject(release) ? tagged(text(release, 'tag_name'), repository) : IGNORE
}

const PULL_ACTIONS = new Set([
  'opened',
  'reopened',
  'synchronize',
  'closed',
  'labeled',
  'unlabeled',
  'converted_to_draft',
  'ready_for_review',
])

function pulled(payload: JsonObject, { spec }: Repository): Meaning {
  const { number } = payload
  const action = text(payload, 'action')
  if (!spec.previews?.enabled || !PULL_ACTIONS.has(action)) return IGNORE
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 1) return IGNORE
  const approved = approvedBy(payload, spec.previews)
  const outcome = `pull request ${number} ${action}`
  return { do: 'preview', number, outcome, ...(approved ? { approved } : {}) }
}

/**
 * Who may put labels on a pull request may write to the repository. What was approved is the commit
 * of that moment: whatever the fork pushes afterwards is not.
 */
function approvedBy(payload: JsonObject, policy: PreviewPolicy): string | undefined {
  const { label, pull_request: pull } = payload
  if (policy.forks !== 'Approved' || text(payload, 'action') !== 'labeled') return undefined
  if (!isObject(label) || !isObject(pull) || !isObject(pull['head'])) return undefined
  const name = text(label, 'name')
  if (name === '' || name !== policy.approvalLabel) return undefined
  return text(pull['head'], 'sha')
}

/** A workflow may have moved the branch, or built what it names. */
function ran(payload: JsonObject, repository: Repository): Meaning {
  const { workflow_run: run } = payload
  if (text(payload, 'action') !== 'completed' || !isObject(run)) return IGNORE
  if (text(run, 'conclusion') !== 'success') return IGNORE
  if (!isBranch(repository, text(run, 'head_branch'))) return IGNORE
  // It does not say what: every image that an object follows is asked for.
  return { do: 'look', outcome: `workflow ${text(run, 'name')} succeeded`, image: { image: '' } }
}

const DIGEST = /^sha256:[0-9a-f]{64}$/

/** https://docs.github.com/en/webhooks/webhook-events-and-payloads#registry_package */
function built(found: unknown, payload: JsonObject): Meaning {
  if (!['published', 'updated'].includes(text(payload, 'action')) || !isObject(found)) return IGNORE
  if (text(found, 'package_type').toLowerCase() !== 'container') return IGNORE
  const version = isObject(found['package_version']) ? found['package_version'] : {}
  const container = isObject(version['container_metadata']) ? version['container_metadata'] : {}
  const tag = isObject(container['tag']) ? container['tag'] : {}
  const owner = isObject(found['owner']) ? text(found['owner'], 'login') : ''
  const namespace = owner || (text(found, 'namespace').split('/')[0] ?? '')
  const name = text(found, 'name')
  const image = `ghcr.io/${namespace}/${name}`.toLowerCase()
  const digests = [text(tag, 'digest'), text(version, 'version')]
  const digest = digests.find((each) => DIGEST.test(each))
  if (!namespace || !name) return IGNORE
  const tagName = text(tag, 'name')
  return {
    do: 'image',
    outcome: `image ${image}${tagName ? `:${tagName}` : ''} was built`,
    image: { image, ...(tagName ? { tag: tagName } : {}), ...(digest ? { digest } : {}) },
  }
}

function rerequested(payload: JsonObject, repository: Repository): Meaning {
  const { check_run: run } = payload
  if (text(payload, 'action') !== 'rerequested' || !isObject(run)) return IGNORE
  const suite = run['check_suite']
  if (!isObject(suite) || !isBranch(repository, text(suite, 'head_branch'))) return IGNORE
  const commit = text(run, 'head_sha')
  return { do: 'look', outcome: `${short(commit)} was asked for again`, again: commit }
}

function isBranch({ spec }: Repository, branch: string): boolean {
  return !spec.tags && branch !== '' && branch === (spec.branch ?? 'main')
}

function text(object: JsonObject, member: string): string {
  const value = object[member]
  return typeof value === 'string' ? value.slice(0, 300) : ''
}

/** Seven digits of a commit, as git shows it. */
export function short(commit: string): string {
  return commit.slice(0, 7)
}
