// What is wrong with a Repository (deploy.wherry.dev/v1).

import { NOT_A_QUANTITY, isQuantity } from '../quantity.ts'
import type { Cause } from '../status.ts'
import { at, between, forbidden, invalidValue, notSupported, required } from './field-error.ts'
import type { AdmissionContext } from './kind.ts'
import { validateMeta } from './meta-validation.ts'
import { dnsLabelProblems } from './name-rules.ts'
import type { Repository, RepositorySpec } from './repository.ts'

/** As GitHub names them. */
const FULL_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})\/[A-Za-z0-9._-]{1,100}$/
/** What git allows in a branch's name, without what has a meaning in a URL or a pattern. */
const REF = /^(?!.*(\.\.|\/\/|@\{))[A-Za-z0-9_][A-Za-z0-9._/+-]{0,200}$/
const TAGS = /^[A-Za-z0-9._/+*-]{1,200}$/

/** Everything that is wrong with a Repository. */
export function validateRepository(repository: Repository, context: AdmissionContext): Cause[] {
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
  const forks = previews?.forks
  if (forks && forks !== 'Never' && forks !== 'Approved') {
    causes.push(notSupported('spec.previews.forks', forks, ['Approved', 'Never']))
  }
  if (forks === 'Approved' && previews?.approvalLabel === '') {
    causes.push(required('spec.previews.approvalLabel', 'forks are approved by it'))
  }
  for (const [resource, quantity] of Object.entries(previews?.quota ?? {})) {
    if (isQuantity(quantity)) continue
    causes.push(invalidValue(at('spec.previews.quota', resource), quantity, NOT_A_QUANTITY))
  }
  const rollback = rollout?.rollback
  if (rollback && rollback !== 'Auto' && rollback !== 'Never') {
    causes.push(notSupported('spec.rollout.rollback', rollback, ['Auto', 'Never']))
  }
  return causes
}
