// What happens to VMs, as Cloud Logging would hand it to a log sink: Google's LogEntry JSON.
// https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry and, for health transitions,
// https://cloud.google.com/load-balancing/docs/health-check-logging

import type { Clock } from '#shared/ports/clock.ts'
import { formatMicroTime } from '#shared/time.ts'
import type { Instance } from './state.ts'
import { nameOf } from './links.ts'

export interface LogEntry {
  logName: string
  insertId: string
  timestamp: string
  receiveTimestamp: string
  severity: 'INFO' | 'NOTICE' | 'ERROR'
  resource: { type: string; labels: Record<string, string> }
  protoPayload?: Record<string, unknown>
  jsonPayload?: Record<string, unknown>
  operation?: { id: string; producer: string; first?: boolean; last?: boolean }
}

/** Changes that somebody asked for (log `activity`) and those that just happened (`system_event`). */
export type ActivityMethod =
  | 'v1.compute.instances.insert'
  | 'v1.compute.instances.delete'
  | 'v1.compute.instances.stop'
  | 'v1.compute.instances.start'
  | 'v1.compute.instances.reset'

export type SystemMethod =
  | 'compute.instances.hostError'
  | 'compute.instances.preempted'
  | 'compute.instances.guestTerminate'
  | 'compute.instances.automaticRestart'
  | 'compute.instances.repair.recreateInstance'

export interface HealthTransition {
  instance: Instance
  /** Name of the group the VM belongs to. */
  group: string
  from: HealthState
  to: HealthState
  /** What the probe said: `HTTP response: , Error: Connection refused`. */
  text: string
  healthCheck: { protocol: string; port: number }
}

export type HealthState = 'HEALTHY' | 'UNHEALTHY' | 'TIMEOUT' | 'UNKNOWN'

export interface AuditLog {
  /** Long operations have an entry when they begin (`first`) and one when they are done (`last`). */
  activity(instance: Instance, method: ActivityMethod, when?: 'first' | 'last'): void
  system(instance: Instance, method: SystemMethod): void
  /** A backend service's health check saw a VM change. */
  backendHealth(transition: HealthTransition): void
  /** A group's own health check saw a VM change. */
  groupHealth(transition: HealthTransition): void
}

export function createAuditLog(
  { project, clock }: { project: string; clock: Clock },
  emit: (entry: LogEntry) => void,
): AuditLog {
  let count = 0

  function base(
    log: string,
  ): Pick<LogEntry, 'logName' | 'insertId' | 'timestamp' | 'receiveTimestamp'> {
    const now = formatMicroTime(clock.now() * 1000)
    return {
      logName: `projects/${project}/logs/${log}`,
      insertId: `${clock.now().toString(36)}${(count++).toString(36)}`,
      timestamp: now,
      receiveTimestamp: now,
    }
  }

  function audit(
    instance: Instance,
    methodName: ActivityMethod | SystemMethod,
    log: 'activity' | 'system_event',
    when?: 'first' | 'last',
  ): void {
    const zone = nameOf(instance.zone)
    const entry = base(`cloudaudit.googleapis.com%2F${log}`)
    emit({
      ...entry,
      severity: log === 'activity' ? 'NOTICE' : 'INFO',
      resource: {
        type: 'gce_instance',
        labels: { instance_id: instance.id, project_id: project, zone },
      },
      protoPayload: {
        '@type': 'type.googleapis.com/google.cloud.audit.AuditLog',
        serviceName: 'compute.googleapis.com',
        methodName,
        resourceName: `projects/${project}/zones/${zone}/instances/${instance.name}`,
        authenticationInfo: {
          principalEmail:
            log === 'activity' ? 'wherry@emulator.gserviceaccount.com' : 'system@google.com',
        },
        request: { '@type': `type.googleapis.com/${methodName.replace(/^v1\./, '')}` },
      },
      operation: {
        id: `systemevent-${entry.insertId}`,
        producer: methodName.replace(/^v1\./, ''),
        ...(log === 'system_event' || when === 'first' ? { first: true } : {}),
        ...(when === 'first' ? {} : { last: true }),
      },
    })
  }

  return {
    activity: (instance, method, when) => audit(instance, method, 'activity', when),
    system: (instance, method) => audit(instance, method, 'system_event'),
    backendHealth(transition) {
      emit({
        ...base('compute.googleapis.com%2Fhealthchecks'),
        severity: 'INFO',
        resource: {
          type: 'gce_instance_group',
          labels: {
            instance_group_name: transition.group,
            instance_group_id: '',
            project_id: project,
            location: nameOf(transition.instance.zone),
          },
        },
        jsonPayload: { healthCheckProbeResult: probeResult(transition, clock.now()) },
      })
    },
    groupHealth(transition) {
      const { instance, group, to } = transition
      emit({
        ...base('compute.googleapis.com%2Finstance_group_manager_events'),
        severity: 'INFO',
        resource: {
          type: 'gce_instance_group_manager',
          labels: {
            instance_group_manager_name: group,
            project_id: project,
            location: nameOf(instance.zone),
          },
        },
        jsonPayload: {
          '@type': 'type.googleapis.com/compute.InstanceGroupManagerEvent',
          instanceHealthStateChange: {
            instance: instance.selfLink,
            healthState: basicState(to),
            detailedHealthState: to,
          },
        },
      })
    },
  }
}

function probeResult(transition: HealthTransition, now: number): Record<string, unknown> {
  const { instance, from, to, text, healthCheck } = transition
  return {
    ipAddress: instance.networkInterfaces[0]?.networkIP,
    healthCheckProtocol: healthCheck.protocol,
    healthState: basicState(to),
    previousHealthState: basicState(from),
    detailedHealthState: to,
    previousDetailedHealthState: from,
    probeCompletionTimestamp: formatMicroTime(now * 1000),
    probeResultText: text,
    probeSourceIp: '35.191.0.1',
    targetIp: instance.networkInterfaces[0]?.networkIP,
    targetPort: healthCheck.port,
  }
}

function basicState(state: HealthState): 'HEALTHY' | 'UNHEALTHY' {
  return state === 'HEALTHY' ? 'HEALTHY' : 'UNHEALTHY'
}
