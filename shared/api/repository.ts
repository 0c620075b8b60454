// Repository (deploy.wherry.dev/v1): a GitHub repository that is deployed to this cluster, how, and
// what came of it. The deploy function (functions/deploys) reads and writes it.

import { AGE_COLUMN, NAME_COLUMN, ageOf, column, wideColumn } from './columns.ts'
import { ALL_VERBS } from './kind.ts'
import type { KindDefinition } from './kind.ts'
import type { Condition, KubeObject } from './meta.ts'
import type { ResourceList } from './pod-resources.ts'
import { validateRepository } from './repository-validation.ts'

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
/** On a workload: `web=ghcr.io/owner/web:1.*`, which container follows which image; several with commas. */
export const IMAGES_ANNOTATION = 'deploy.wherry.dev/images'
/** On a Repository: a commit whose deploy may remove any number of objects. */
export const ALLOW_PRUNE_ANNOTATION = 'deploy.wherry.dev/allow-prune'
/** On a Repository: any new value makes the deploy function go back to the last good commit. */
export const ROLLBACK_ANNOTATION = 'deploy.wherry.dev/rollback'

export interface PreviewPolicy {
  enabled?: boolean
  /** Pull requests with this label get one; empty: all. */
  label?: string
  ttlHours?: number
  max?: number
  /** The hard limits of the ResourceQuota in each preview's namespace. */
  quota?: ResourceList
  /** Its pods prefer spot VMs, and bear their taint. */
  spot?: boolean
  /** `Approved`: a fork's commit on which somebody put the approval label. */
  forks?: 'Never' | 'Approved'
  approvalLabel?: string
  /** Secrets of the app's namespace that previews get too; those of forks never do. */
  secrets?: string[]
}

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
  rollout?: {
    timeoutSeconds?: number
    rollback?: 'Auto' | 'Never'
    /** After an automatic rollback: a pull request on GitHub that takes the commit back there too. */
    revertPullRequest?: boolean
  }
  previews?: PreviewPolicy
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
  /** Tells deploys of one commit with other images apart; the commit itself unless said. */
  release?: string
  /** What it costs, for the pull request. */
  cost?: string
  /** Where its pods run, for the pull request. */
  place?: string
}

/** The image that an object asked to be kept up to date, resolved once. */
export interface ImagePin {
  /** As the annotation has it: `ghcr.io/owner/web:1.*`. */
  wants: string
  /** `ghcr.io/owner/web:1.2.3@sha256:…`. */
  image: string
  since: string
}

/** News of an image, not looked at yet. */
export interface ImageEvent {
  /** The delivery that told. */
  id: string
  /** Without tag; empty: of any image. */
  image: string
  tag?: string
  digest?: string
}

/** The pull request that takes a commit back on GitHub, after the cluster went back. */
export interface RevertState {
  commit: string
  /** The commit that runs instead. */
  to: string
  reason: string
  phase: 'Wanted' | 'Open' | 'Refused'
  url?: string
  message?: string
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
  /** From a fork: it gets no Secrets. */
  isFork?: boolean
  /** The fork's commit on which the approval label was put. */
  approved?: string
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
  images?: ImagePin[]
  imageEvents?: ImageEvent[]
  revert?: RevertState
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
  approvalLabel: 'preview-approved',
}
/** So that a pull request cannot fill the cluster. */
const PREVIEW_QUOTA: ResourceList = {
  pods: '20',
  persistentvolumeclaims: '5',
  'services.loadbalancers': '1',
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
        spot: true,
        forks: 'Never',
        approvalLabel: DEFAULTS.approvalLabel,
        quota: PREVIEW_QUOTA,
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
