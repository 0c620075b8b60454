// What Compute Engine's health checks say of a VM.

/** Undefined: nothing is known (yet). */
export function healthFrom(detailedHealthState: string | null | undefined): boolean | undefined {
  if (detailedHealthState === 'HEALTHY' || detailedHealthState === 'DRAINING') return true
  const isUnwell = detailedHealthState === 'UNHEALTHY' || detailedHealthState === 'TIMEOUT'
  return isUnwell ? false : undefined
}
