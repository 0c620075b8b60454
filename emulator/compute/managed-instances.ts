// What a group says of its VMs: listManagedInstances.
// https://cloud.google.com/compute/docs/reference/rest/v1/instanceGroupManagers/listManagedInstances

import type { HealthState } from './audit-log.ts'
import type { Context } from './context.ts'
import { instancePath } from './group-loop.ts'
import { linkTo, pathOf } from './links.ts'
import { timestamp } from './state.ts'

/** What a health check last found out about a VM; UNKNOWN before it has. */
export type HealthOf = (healthCheck: string, instance: string) => HealthState

export function showManagedInstances(
  ctx: Context,
  group: string,
  healthOf: HealthOf,
): [string, object][] {
  const { state, project } = ctx
  const healing = state.instanceGroupManagers[group]?.autoHealingPolicies ?? []
  return (state.groups[group]?.members ?? []).map((member) => {
    const path = instancePath(group, member.name)
    const instance = state.instances[path]
    return [
      path,
      {
        instance: linkTo(project, path),
        name: member.name,
        ...(instance ? { id: instance.id, instanceStatus: instance.status } : {}),
        currentAction: member.action,
        version: { instanceTemplate: linkTo(project, member.template) },
        lastAttempt: member.lastError
          ? {
              errors: {
                errors: [{ code: member.lastError.code, message: member.lastError.message }],
              },
              timestamp: timestamp(member.lastError.atMs),
            }
          : {},
        ...(instance
          ? {
              instanceHealth: healing.map(({ healthCheck }) => {
                const detailed = healthOf(pathOf(healthCheck, 'healthCheck'), path)
                return { healthCheck, detailedHealthState: detailed }
              }),
            }
          : {}),
      },
    ]
  })
}
