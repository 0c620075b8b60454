// What is wrong with a pod, or with a template of pods: the spec as a whole. Its parts are looked at
// in container-, volume-, affinity- and pod-update-validation.ts.

import type { Cause } from '../status.ts'
import { validateAffinity, validateSpread, validateToleration } from './affinity-validation.ts'
import { validateContainers } from './container-validation.ts'
import {
  IS_NEGATIVE,
  between,
  child,
  duplicate,
  eachOf,
  forbidden,
  invalidEach,
  invalidValue,
  oneOf,
  required,
} from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import { oldOf } from './kind.ts'
import type { AdmissionContext } from './kind.ts'
import { validateAnnotations, validateLabels, validateMeta } from './meta-validation.ts'
import {
  NOT_AN_IP,
  dnsLabelProblems,
  dnsSubdomainProblems,
  isIp,
  labelKeyProblems,
} from './name-rules.ts'
import { validatePriority } from './pod-priority.ts'
import { validatePodUpdate } from './pod-update-validation.ts'
import type { Pod, PodSpec, PodTemplateSpec } from './pod.ts'
import { validateVolumes } from './volume-validation.ts'

const RESTART_POLICIES = ['Always', 'OnFailure', 'Never']
const DNS_POLICIES = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None']
const DEADLINE_MAX = 2_147_483_647

/** Everything that is wrong with a pod, on create and on update. */
export function validatePod(pod: Pod, context: AdmissionContext): Cause[] {
  const causes = [
    ...validateMeta(pod, { isNamespaced: true }, context),
    ...validatePodSpec('spec', pod.spec),
  ]
  const old = oldOf(pod, context)
  if (old) return [...causes, ...validatePodUpdate(pod, old)]
  if (pod.spec.ephemeralContainers?.length) {
    causes.push(forbidden('spec.ephemeralContainers', 'cannot be set on create'))
  }
  if (pod.spec.nodeName && pod.spec.schedulingGates?.length) {
    const detail = 'cannot be set until all schedulingGates have been cleared'
    causes.push(forbidden('spec.nodeName', detail))
  }
  return [...causes, ...validatePriority(pod.spec, context)]
}

/** What is wrong with the template of a Deployment, ReplicaSet or PodTemplate. */
export function validatePodTemplate(path: FieldPath, template: PodTemplateSpec): Cause[] {
  return [
    ...validateLabels(child(path, 'metadata.labels'), template.metadata?.labels),
    ...validateAnnotations(child(path, 'metadata.annotations'), template.metadata?.annotations),
    ...validatePodSpec(child(path, 'spec'), template.spec),
  ]
}

function validatePodSpec(path: FieldPath, spec: PodSpec): Cause[] {
  const deadline = spec.activeDeadlineSeconds
  const grace = spec.terminationGracePeriodSeconds
  const isBadDeadline = deadline !== undefined && (deadline < 1 || deadline > DEADLINE_MAX)
  return [
    ...validateVolumes(child(path, 'volumes'), spec.volumes),
    ...validateContainers(path, spec),
    ...oneOf(child(path, 'restartPolicy'), spec.restartPolicy, RESTART_POLICIES),
    ...validateDns(path, spec),
    ...validateLabels(child(path, 'nodeSelector'), spec.nodeSelector),
    ...validateSecurity(path, spec),
    ...validateNames(path, spec),
    ...(isBadDeadline
      ? [invalidValue(child(path, 'activeDeadlineSeconds'), deadline, between(1, DEADLINE_MAX))]
      : []),
    ...(grace !== undefined && grace < 0
      ? [invalidValue(child(path, 'terminationGracePeriodSeconds'), grace, IS_NEGATIVE)]
      : []),
    ...validateAffinity(child(path, 'affinity'), spec.affinity),
    ...eachOf(child(path, 'tolerations'), spec.tolerations, validateToleration),
    ...validateSpread(child(path, 'topologySpreadConstraints'), spec.topologySpreadConstraints),
    ...validateGates(path, spec),
    ...validateHostAliases(child(path, 'hostAliases'), spec.hostAliases),
  ]
}

function validateDns(path: FieldPath, spec: PodSpec): Cause[] {
  const causes = oneOf(child(path, 'dnsPolicy'), spec.dnsPolicy, DNS_POLICIES)
  const servers = spec.dnsConfig?.nameservers
  if (spec.dnsPolicy === 'None' && !(Array.isArray(servers) && servers.length > 0)) {
    const detail = 'must provide at least one DNS nameserver when `dnsPolicy` is None'
    causes.push(required(child(path, 'dnsConfig.nameservers'), detail))
  }
  return causes
}

function validateSecurity(path: FieldPath, spec: PodSpec): Cause[] {
  const causes: Cause[] = []
  if (spec.hostPID && spec.shareProcessNamespace) {
    const detail = 'ShareProcessNamespace and HostPID cannot both be enabled'
    causes.push(invalidValue(child(path, 'shareProcessNamespace'), true, detail))
  }
  const contexts: [FieldPath, Record<string, unknown> | undefined][] = [
    [child(path, 'securityContext'), spec.securityContext],
    ...spec.containers.map((container, index): [FieldPath, Record<string, unknown> | undefined] => [
      child(path, `containers[${index}].securityContext`),
      container.securityContext,
    ]),
  ]
  for (const [field, security] of contexts) {
    for (const name of ['runAsUser', 'runAsGroup', 'fsGroup']) {
      const id = security?.[name]
      if (typeof id === 'number' && (id < 0 || id > DEADLINE_MAX)) {
        causes.push(invalidValue(child(field, name), id, between(0, DEADLINE_MAX)))
      }
    }
  }
  return causes
}

function validateNames(path: FieldPath, spec: PodSpec): Cause[] {
  const rules: [keyof PodSpec, string | undefined, (name: string) => string[]][] = [
    ['serviceAccountName', spec.serviceAccountName, dnsSubdomainProblems],
    ['nodeName', spec.nodeName, dnsSubdomainProblems],
    ['hostname', spec.hostname, dnsLabelProblems],
    ['subdomain', spec.subdomain, dnsLabelProblems],
    ['priorityClassName', spec.priorityClassName, dnsSubdomainProblems],
    ['runtimeClassName', spec.runtimeClassName, dnsSubdomainProblems],
    ['schedulerName', spec.schedulerName, dnsSubdomainProblems],
  ]
  return rules.flatMap(([name, value, problems]) =>
    value ? invalidEach(child(path, name), value, problems(value)) : [],
  )
}

function validateGates(path: FieldPath, spec: PodSpec): Cause[] {
  const names = new Set<string>()
  return [
    ...eachOf(child(path, 'readinessGates'), spec.readinessGates, ({ conditionType }, field) =>
      invalidEach(
        child(field, 'conditionType'),
        conditionType ?? '',
        labelKeyProblems(conditionType ?? ''),
      ),
    ),
    ...eachOf(child(path, 'schedulingGates'), spec.schedulingGates, ({ name }, field) => {
      const causes = invalidEach(field, name ?? '', labelKeyProblems(name ?? ''))
      if (names.has(name)) causes.push(duplicate(field, name))
      names.add(name)
      return causes
    }),
  ]
}

function validateHostAliases(path: FieldPath, aliases: PodSpec['hostAliases']): Cause[] {
  return eachOf(path, aliases, ({ ip, hostnames }, field) => [
    ...(isIp(ip ?? '') ? [] : [invalidValue(child(field, 'ip'), ip, NOT_AN_IP)]),
    ...eachOf(child(field, 'hostnames'), hostnames, (name, at) =>
      invalidEach(at, name, dnsSubdomainProblems(name)),
    ),
  ])
}
