// What is wrong with an Ingress, in Kubernetes' words (pkg/apis/networking/validation).

import type { Cause } from '../status.ts'
import {
  child,
  eachOf,
  invalidEach,
  invalidValue,
  notSupported,
  required,
  type FieldPath,
} from './field-error.ts'
import type {
  HttpIngressPath,
  Ingress,
  IngressBackend,
  IngressRule,
  IngressServiceBackend,
  IngressTls,
} from './ingress.ts'
import type { AdmissionContext } from './kind.ts'
import { validateMeta } from './meta-validation.ts'
import {
  dns1035LabelProblems,
  dnsSubdomainProblems,
  isIp,
  portNameProblems,
  portProblems,
  wildcardSubdomainProblems,
} from './name-rules.ts'

const PATH_TYPES = ['Exact', 'ImplementationSpecific', 'Prefix']
const BAD_SEQUENCES = ['//', '/./', '/../', '%2f', '%2F']
const BAD_ENDS = ['/..', '/.']
const CLASS_ANNOTATION = 'kubernetes.io/ingress.class'

export function validateIngress(ingress: Ingress, context: AdmissionContext): Cause[] {
  const causes = validateMeta(ingress, { isNamespaced: true }, context)
  const { rules, defaultBackend, tls, ingressClassName } = ingress.spec ?? {}
  if (!rules?.length && !defaultBackend) {
    causes.push(invalidValue('spec', null, 'either `defaultBackend` or `rules` must be specified'))
  }
  if (defaultBackend) causes.push(...validateBackend(defaultBackend, 'spec.defaultBackend'))
  causes.push(...eachOf('spec.rules', rules, validateRule), ...eachOf('spec.tls', tls, validateTls))
  if (ingressClassName !== undefined) {
    causes.push(
      ...invalidEach(
        'spec.ingressClassName',
        ingressClassName,
        dnsSubdomainProblems(ingressClassName),
      ),
    )
  }
  const annotation = ingress.metadata?.annotations?.[CLASS_ANNOTATION]
  const isTorn =
    annotation !== undefined && ingressClassName !== undefined && annotation !== ingressClassName
  if (!context.old && isTorn) {
    const detail = 'must match `ingressClassName` when both are specified'
    causes.push(invalidValue(`annotations.${CLASS_ANNOTATION}`, annotation, detail))
  }
  return causes
}

function validateTls({ hosts, secretName }: IngressTls, path: FieldPath): Cause[] {
  return [
    ...eachOf(child(path, 'hosts'), hosts, (host, field) =>
      invalidEach(field, host, hostProblems(host)),
    ),
    ...(secretName
      ? invalidEach(child(path, 'secretName'), secretName, dnsSubdomainProblems(secretName))
      : []),
  ]
}

function validateRule({ host, http }: IngressRule, path: FieldPath): Cause[] {
  const causes: Cause[] = []
  const field = child(path, 'host')
  if (host && isIp(host)) {
    causes.push(invalidValue(field, host, 'must be a DNS name, not an IP address'))
  }
  if (host) causes.push(...invalidEach(field, host, hostProblems(host)))
  if (!http) return causes
  const paths = child(path, 'http', 'paths')
  if (!http.paths?.length) causes.push(required(paths))
  return [...causes, ...eachOf(paths, http.paths, validatePath)]
}

function hostProblems(host: string): string[] {
  return host.includes('*') ? wildcardSubdomainProblems(host) : dnsSubdomainProblems(host)
}

function validatePath({ path = '', pathType, backend }: HttpIngressPath, at: FieldPath): Cause[] {
  if (!pathType) return [required(child(at, 'pathType'), 'pathType must be specified')]
  const field = child(at, 'path')
  const causes: Cause[] = []
  if (!PATH_TYPES.includes(pathType)) {
    causes.push(notSupported(child(at, 'pathType'), pathType, PATH_TYPES))
  } else {
    const isFree = pathType === 'ImplementationSpecific'
    if (!path.startsWith('/') && !(isFree && path === '')) {
      causes.push(invalidValue(field, path, 'must be an absolute path'))
    }
    if (!isFree) causes.push(...invalidEach(field, path, sequenceProblems(path)))
  }
  return [...causes, ...validateBackend(backend, child(at, 'backend'))]
}

function sequenceProblems(path: string): string[] {
  return [
    ...BAD_SEQUENCES.filter((bad) => path.includes(bad)).map((bad) => `must not contain '${bad}'`),
    ...BAD_ENDS.filter((bad) => path.endsWith(bad)).map((bad) => `cannot end with '${bad}'`),
  ]
}

function validateBackend(backend: IngressBackend | undefined, path: FieldPath): Cause[] {
  const { service, resource } = backend ?? {}
  if (service && resource) {
    return [invalidValue(path, '', 'cannot set both resource and service backends')]
  }
  if (resource) {
    const field = child(path, 'resource')
    return [
      ...(resource.kind ? [] : [required(child(field, 'kind'), 'kind is required')]),
      ...(resource.name ? [] : [required(child(field, 'name'), 'name is required')]),
    ]
  }
  if (!service) return [invalidValue(path, '', 'resource or service backend is required')]
  return validateService(service, path)
}

function validateService({ name, port }: IngressServiceBackend, path: FieldPath): Cause[] {
  const field = child(path, 'service', 'name')
  const causes = name ? invalidEach(field, name, dns1035LabelProblems(name)) : [required(field)]
  if (port?.name && port.number) {
    causes.push(invalidValue(path, '', 'cannot set both port name & port number'))
  } else if (port?.name) {
    const at = child(path, 'service', 'port', 'name')
    causes.push(...invalidEach(at, port.name, portNameProblems(port.name)))
  } else if (port?.number) {
    const at = child(path, 'service', 'port', 'number')
    causes.push(...invalidEach(at, port.number, portProblems(port.number)))
  } else {
    causes.push(required(path, 'port name or number is required'))
  }
  return causes
}
