// What is wrong with requests and limits.

import { IS_NEGATIVE, at, child, invalidValue, required } from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import { NOT_A_QUANTITY, compareQuantities, isQuantity } from '../quantity.ts'
import type { Cause } from '../status.ts'
import { labelKeyProblems } from './name-rules.ts'
import type { ResourceRequirements } from './pod.ts'

const STANDARD = ['cpu', 'memory', 'ephemeral-storage']

/** Requests and limits of one container. */
export function validateResources(path: FieldPath, resources: ResourceRequirements): Cause[] {
  const { limits = {}, requests = {} } = resources
  const [limitsPath, requestsPath] = [child(path, 'limits'), child(path, 'requests')]
  const causes = [
    ...validateResourceList(limitsPath, limits),
    ...validateResourceList(requestsPath, requests),
  ]
  for (const [resource, request] of Object.entries(requests)) {
    const limit = limits[resource]
    if (limit === undefined) {
      if (!mayOvercommit(resource)) {
        causes.push(required(limitsPath, 'Limit must be set for non overcommitable resources'))
      }
      continue
    }
    if (!isQuantity(request) || !isQuantity(limit)) continue
    const order = compareQuantities(request, limit)
    if (order !== 0 && !mayOvercommit(resource)) {
      causes.push(
        invalidValue(requestsPath, request, `must be equal to ${resource} limit of ${limit}`),
      )
    } else if (order > 0) {
      causes.push(
        invalidValue(
          requestsPath,
          request,
          `must be less than or equal to ${resource} limit of ${limit}`,
        ),
      )
    }
  }
  return causes
}

function validateResourceList(path: FieldPath, list: Record<string, string>): Cause[] {
  return Object.entries(list).flatMap(([resource, quantity]) => {
    const field = at(path, resource)
    const causes = labelKeyProblems(resource).map((each) => invalidValue(field, resource, each))
    if (!resource.includes('/') && !isStandard(resource)) {
      causes.push(
        invalidValue(field, resource, 'must be a standard resource type or fully qualified'),
        invalidValue(field, resource, 'must be a standard resource for containers'),
      )
    }
    if (!isQuantity(quantity)) causes.push(invalidValue(field, quantity, NOT_A_QUANTITY))
    else if (compareQuantities(quantity, '0') < 0) {
      causes.push(invalidValue(field, quantity, IS_NEGATIVE))
    } else if (resource.includes('/') && !isWhole(quantity)) {
      causes.push(invalidValue(field, quantity, 'must be an integer'))
    }
    return causes
  })
}

function isWhole(quantity: string): boolean {
  return !/[num]$/.test(quantity)
}

function isStandard(resource: string): boolean {
  return STANDARD.includes(resource) || resource.startsWith('hugepages-')
}

/** Kubernetes' own resources may be promised more than once; devices and huge pages may not. */
function mayOvercommit(resource: string): boolean {
  return STANDARD.includes(resource)
}
