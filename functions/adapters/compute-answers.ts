// How answers of Compute Engine are read, whichever way they came: by Google's client or over REST.

import { StatusError } from '#shared/status.ts'

type Maybe<T> = T | null | undefined

/** Of one scope of an aggregated list. Error: a zone that did not answer is not an empty zone. */
export function needAnswer(
  scope: string,
  warning: Maybe<{ code?: Maybe<string>; message?: Maybe<string> }>,
): void {
  if (!warning?.code || warning.code === 'NO_RESULTS_ON_PAGE') return
  throw new StatusError('ServiceUnavailable', `${scope}: ${warning.code}: ${warning.message}`)
}

/** Google writes into a VM's metadata which group made it: `projects/…/zones/Z/instanceGroupManagers/G`. */
export function groupOf(instance: {
  metadata?: Maybe<{ items?: Maybe<{ key?: Maybe<string>; value?: Maybe<string> }[]> }>
}): string | undefined {
  const item = instance.metadata?.items?.find(({ key }) => key === 'created-by')
  return item?.value ?? undefined
}

/** What a group's health check says of a VM; undefined: nothing is known (yet). */
export function healthFrom(detailedHealthState: Maybe<string>): boolean | undefined {
  if (detailedHealthState === 'HEALTHY' || detailedHealthState === 'DRAINING') return true
  const isUnwell = detailedHealthState === 'UNHEALTHY' || detailedHealthState === 'TIMEOUT'
  return isUnwell ? false : undefined
}
