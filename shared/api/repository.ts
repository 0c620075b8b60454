// Repository (deploy.wherry.dev/v1): a GitHub repository that is deployed to this cluster, how, and
// what came of it. The deploy function (functions/deploys) reads and writes it.

import type { Cause } from '../status.ts'
import { AGE_COLUMN, NAME_COLUMN, ageOf, column, wideColumn } from './columns.ts'
import { between, forbidden, invalidValue, notSupported, required } from './field-error.ts'
import { ALL_VERBS } from './kind.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import { validateMeta } from './meta-validation.ts'
import type { Condition, KubeObject } from './meta.ts'
import { dnsLabelProblems } from './name-rules.ts'

/** The resource of Repository objects. */
export const REPOSITORIES = 'repositories.deploy.wherry.dev'

/** On every object of a deploy: the Repository's name. */
export const REPOSITORY_LABEL = 'deploy.wherry.dev/repository'
/** On every object of a deploy: `namespace/name` of its Repository, or `namespace/name#7` of a preview. */
export const OWNER_ANNOTATION = 'deploy.wherry.dev/owner'
/** The commit that last changed the object. */
export const COMMIT_ANNOTATION = 'deploy.wherry.dev/commit'
/** `disabled`: the object stays when it has left Git. */
export const PRUNE_ANNOTATION = 'deploy.wherry.dev/prune'
/** Set by the renderer on what a generator made: the name without its hash. */
export const GENERATED_ANNOTATION = 'deploy.wherry.dev/generated-from'
/** On a Repository: a commit whose deploy may remove any number of objects. */
export const ALLOW_PRUNE_ANNOTATION = 'deploy.wherry.dev/allow-prune'
/** On a Repository: any new value makes the deploy function go back to the last good commit. */
export const ROLLBACK_ANNOTATION = 'deploy.wherry.dev/rollback'

export interface RepositorySpec {
  /** `owner/name` on GitHub. */
  repository: string
  /** The branch that is deployed. */
  branch?: string
  /** Instead of the branch: the highest version among the tags that match, e.g. `v*`. */
  tags?: string
  /** The folder (or file) of the manifests. */
  path?: string
  /** Where objects go that name no namespace; the Repository's own unless said otherwise. */
  targetNamespace?: string
  /** `Cluster` allows objects of other namespaces and of none. */
  scope?: 'Namespace' | 'Cluster'
  /** The Secret with the webhook's secret; its key is `secret` unless said otherwise. */
  webhookSecretRef?: { name: string; key?: string }
  /** The Secret with `token`, or with `appId`, `installationId` and `privateKey` of a GitHub App. */
  credentialsRef?: { name: string }
  /** The name of the GitHub environment. */
  environment?: string
  prune?: { enabled?: boolean; maxPercent?: number }
  rollout?: { timeoutSeconds?: number; rollback?: 'Auto' | 'Never' }
  previews?: { enabled?: boolean; label?: string; ttlHours?: number; max?: number }
  drift?: 'Ignore' | 'Report' | 'Heal'
  /** How often the head is compared even if no webhook comes. */
  checkMinutes?: number
  paused?: boolean
}

/** One webhook delivery that was accepted. */
export interface RepositoryDelivery {
  id: string
  /** `push`, `pull_request.opened` … */
  event: string
  receivedAt: string
  /** What it led to. */
  outcome: string
}

export type DeployPhase = 'Progressing' | 'Healthy' | 'Failed' | 'Refused' | 'RollingBack'

/** The deploy that is under way, or the last one. */
export interface DeployState {
  commit: string
  /** First line of the commit's message. */
  subject?: string
  phase: DeployPhase
  /** For people: what happened, what is waited for, or why not. */
  message?: string
  startedAt: string
  finishedAt?: string
  objects?: number
  created?: number
  changed?: number
  pruned?: number
  /** `+ deployments.apps/default/web`, `~` changed, `-` removed; the first ones. */
  changes?: string[]
  /** GitHub's id of the Deployment there. */
  deploymentId?: number
  /** Where the app can be opened. */
  url?: string
  /** The bad commit that this deploy takes back. */
  instead?: string
}

/** What GitHub has still to be told. */
export interface DeployReport {
  commit: string
  state: 'pending' | 'success' | 'failure' | 'error' | 'inactive'
  description: string
  deploymentId?: number
  url?: string
  /** The pull request whose comment says it. */
  pull?: number
  /** The comment's text, in Markdown. */
  details?: string
}

export interface PreviewState {
  number: number
  namespace: string
  /** Counts what was asked of it; `looked` is how far that was answered. */
  asked: number
  looked: number
  expiresAt?: string
  deploy?: DeployState
  lastGood?: string
  message?: string
}

/** Where something is deployed to and how far that is: the branch, or one pull request. */
export type TargetState = Pick<PreviewState, 'deploy' | 'lastGood'> & { previousGood?: string }

export interface RepositoryStatus {
  observedGeneration?: number
  /** Counts the reasons to look at GitHub; `looked` is how far they were answered. */
  asked?: number
  looked?: number
  /** The commit that a person wants again although it was skipped. */
  again?: string
  deliveries?: RepositoryDelivery[]
  deploy?: DeployState
  /** The last commit whose rollout was good. */
  lastGood?: string
  /** The one before it. */
  previousGood?: string
  /** Commits that were rolled back, newest last. */
  skipped?: string[]
  /** The rollback annotation that was answered. */
  rolledBack?: string
  /** Keys of objects that differ from Git, as far as they fit. */
  drift?: string[]
  previews?: PreviewState[]
  outbox?: DeployReport[]
  /** GitHub could not be asked. */
  retry?: { at: string; attempts: number; asked: number; message: string }
  conditions?: Condition[]
}

export interface Repository extends KubeObject {
  spec: RepositorySpec
  status?: RepositoryStatus
}

const DEFAULTS = {
  path: '.',
  branch: 'main',
  environment: 'production',
  maxPercent: 50,
  timeoutSeconds: 600,
  checkMinutes: 10,
  previewLabel: 'preview',
  previewTtlHours: 72,
  previewsMax: 10,
}
const SHORT_COMMIT = 7

export const repositoryKind: KindDefinition<Repository> = {
  group: 'deploy.wherry.dev',
  version: 'v1',
  kind: 'Repository',
  plural: 'repositories',
  singular: 'repository',
  shortNames: ['repo'],
  categories: [],
  isNamespaced: true,
  verbs: ALL_VERBS,
  subresources: [{ name: 'status', verbs: ['get', 'patch', 'update'] }],
  columns: [
    NAME_COLUMN,
    column('Source', 'What is deployed: repository and branch or tags.'),
    column('Commit', 'The commit that runs, or is on its way.'),
    column('State', 'Waiting, Progressing, Healthy, Failed, Refused, RollingBack or Paused.'),
    column('Subject', 'The first line of the commit’s message.'),
    AGE_COLUMN,
    wideColumn('Path', 'The folder of the manifests.'),
    wideColumn('Last-Delivery', 'The webhook that came last.'),
    wideColumn('Message', 'What is being waited for, or went wrong.'),
  ],
  cells: (repository, context) => [
    repository.metadata.name,
    `${repository.spec.repository}@${repository.spec.tags ?? repository.spec.branch ?? DEFAULTS.branch}`,
    repository.status?.deploy?.commit.slice(0, SHORT_COMMIT) ?? '',
    stateOf(repository),
    repository.status?.deploy?.subject ?? '',
    ageOf(repository, context),
    repository.spec.path ?? DEFAULTS.path,
    repository.status?.deliveries?.at(-1)?.event ?? '',
    messageOf(repository),
  ],
  applyDefaults(draft) {
    const spec: Partial<RepositorySpec> = (draft.spec ??= { repository: '' })
    if (!spec.tags) spec.branch ||= DEFAULTS.branch
    spec.path ||= DEFAULTS.path
    spec.scope ||= 'Namespace'
    spec.environment ||= DEFAULTS.environment
    spec.drift ||= 'Report'
    spec.checkMinutes ??= DEFAULTS.checkMinutes
    spec.prune = { enabled: true, maxPercent: DEFAULTS.maxPercent, ...spec.prune }
    spec.rollout = {
      timeoutSeconds: DEFAULTS.timeoutSeconds,
      rollback: 'Never',
      ...spec.rollout,
    }
    if (spec.previews) {
      spec.previews = {
        enabled: true,
        label: DEFAULTS.previewLabel,
        ttlHours: DEFAULTS.previewTtlHours,
        max: DEFAULTS.previewsMax,
        ...spec.previews,
      }
    }
  },
  validate: validateRepository,
  hasStatus: true,
  hasGeneration: true,
}

/** One word on how it goes. */
function stateOf({ spec, status }: Repository): string {
  if (spec.paused) return 'Paused'
  return status?.deploy?.phase ?? 'Waiting'
}

function messageOf({ status }: Repository): string {
  const source = status?.conditions?.find(({ type }) => type === 'Source')
  const trouble = source?.status === 'False' ? source.message : undefined
  return status?.retry?.message ?? trouble ?? status?.deploy?.message ?? ''
}

/** As GitHub names them. */
const FULL_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})\/[A-Za-z0-9._-]{1,100}$/
/** What git allows in a branch's name, without what has a meaning in a URL or a pattern. */
const REF = /^(?!.*(\.\.|\/\/|@\{))[A-Za-z0-9_][A-Za-z0-9._/+-]{0,200}$/
const TAGS = /^[A-Za-z0-9._/+*-]{1,200}$/

function validateRepository(repository: Repository, context: AdmissionContext): Cause[] {
  const { spec } = repository
  const causes = validateMeta(
    repository,
    { isNamespaced: true, nameProblems: dnsLabelProblems },
    context,
  )
  const { branch, tags, path = '.', targetNamespace, scope, drift } = spec
  const check = (isWrong: boolean, cause: () => Cause): void => {
    if (isWrong) causes.push(cause())
  }
  check(!spec.repository, () => required('spec.repository'))
  check(Boolean(spec.repository) && !FULL_NAME.test(spec.repository), () =>
    invalidValue('spec.repository', spec.repository, 'must be owner/name, as on GitHub'),
  )
  check(Boolean(branch && tags), () =>
    forbidden('spec.tags', 'may not be set together with spec.branch'),
  )
  check(Boolean(branch) && !REF.test(branch ?? ''), () =>
    invalidValue('spec.branch', branch, 'must be the name of a branch'),
  )
  check(Boolean(tags) && !TAGS.test(tags ?? ''), () =>
    invalidValue('spec.tags', tags, 'must be a pattern of tag names, e.g. v*'),
  )
  check(path.startsWith('/') || path.split('/').includes('..'), () =>
    invalidValue('spec.path', path, 'must be a folder inside the repository'),
  )
  if (targetNamespace) {
    for (const problem of dnsLabelProblems(targetNamespace)) {
      causes.push(invalidValue('spec.targetNamespace', targetNamespace, problem))
    }
  }
  check(Boolean(scope) && scope !== 'Namespace' && scope !== 'Cluster', () =>
    notSupported('spec.scope', scope, ['Cluster', 'Namespace']),
  )
  check(Boolean(drift) && !['Ignore', 'Report', 'Heal'].includes(drift ?? ''), () =>
    notSupported('spec.drift', drift, ['Heal', 'Ignore', 'Report']),
  )
  return [...causes, ...validateNumbers(spec)]
}

function validateNumbers({ prune, rollout, previews, checkMinutes }: RepositorySpec): Cause[] {
  const causes: Cause[] = []
  const within = (field: string, value: number | undefined, low: number, high: number): void => {
    if (value !== undefined && !(value >= low && value <= high)) {
      causes.push(invalidValue(field, value, between(low, high)))
    }
  }
  within('spec.prune.maxPercent', prune?.maxPercent, 0, 100)
  within('spec.rollout.timeoutSeconds', rollout?.timeoutSeconds, 1, 86_400)
  within('spec.previews.ttlHours', previews?.ttlHours, 1, 8760)
  within('spec.previews.max', previews?.max, 0, 100)
  within('spec.checkMinutes', checkMinutes, 1, 1440)
  const rollback = rollout?.rollback
  if (rollback && rollback !== 'Auto' && rollback !== 'Never') {
    causes.push(notSupported('spec.rollout.rollback', rollback, ['Auto', 'Never']))
  }
  return causes
}

/** The defaulted values that the deploy function works with. */
export function deploySettings({ metadata, spec }: Repository): {
  namespace: string
  path: string
  environment: string
  maxPercent: number
  timeoutSeconds: number
  checkMinutes: number
} {
  return {
    namespace: spec.targetNamespace ?? metadata.namespace ?? 'default',
    path: spec.path ?? DEFAULTS.path,
    environment: spec.environment ?? DEFAULTS.environment,
    maxPercent: spec.prune?.maxPercent ?? DEFAULTS.maxPercent,
    timeoutSeconds: spec.rollout?.timeoutSeconds ?? DEFAULTS.timeoutSeconds,
    checkMinutes: spec.checkMinutes ?? DEFAULTS.checkMinutes,
  }
}
