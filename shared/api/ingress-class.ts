// IngressClass (networking.k8s.io/v1): who serves an Ingress.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/service-resources/ingress-class-v1/

import type { Cause } from '../status.ts'
import { parseTime } from '../time.ts'
import type { Reader } from '../view/reader.ts'
import { AGE_COLUMN, NAME_COLUMN, NONE, ageOf, column } from './columns.ts'
import {
  IMMUTABLE,
  child,
  forbidden,
  invalidEach,
  invalidValue,
  notSupported,
  required,
  tooLong,
} from './field-error.ts'
import { ALL_VERBS, oldOf } from './kind.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { validateMeta } from './meta-validation.ts'
import { dnsLabelProblems, dnsSubdomainProblems } from './name-rules.ts'

interface ParametersReference {
  apiGroup?: string
  kind: string
  name: string
  scope?: string
  namespace?: string
}

export interface IngressClass extends KubeObject {
  spec: { controller?: string; parameters?: ParametersReference }
}

export const INGRESS_CLASSES = 'ingressclasses.networking.k8s.io'

/** The controller of this project. */
export const INGRESS_CONTROLLER = 'wherry.dev/ingress'

/** The class that every cluster starts with. Named as on GKE, where it exists as an annotation only. */
export const OWN_CLASS = 'gce'

export const DEFAULT_CLASS_ANNOTATION = 'ingressclass.kubernetes.io/is-default-class'

const CONTROLLER_MAX = 250
const HTTP_PATH = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+"
const SCOPES = ['Cluster', 'Namespace']

export const ingressClassKind: KindDefinition<IngressClass> = {
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'IngressClass',
  plural: 'ingressclasses',
  singular: 'ingressclass',
  shortNames: [],
  categories: [],
  isNamespaced: false,
  verbs: ALL_VERBS,
  subresources: [],
  columns: [
    NAME_COLUMN,
    column('Controller', 'Who serves the Ingresses of this class.'),
    column('Parameters', 'An object with settings for the controller.'),
    AGE_COLUMN,
  ],
  cells: (ingressClass, context) => [
    ingressClass.metadata.name,
    ingressClass.spec.controller ?? '',
    parametersText(ingressClass.spec.parameters),
    ageOf(ingressClass, context),
  ],
  applyDefaults(draft) {
    const parameters = draft.spec?.parameters
    if (parameters) parameters.scope ??= 'Cluster'
  },
  validate: validateIngressClass,
  hasStatus: false,
  hasGeneration: true,
}

/** The class of Ingresses that name none: of several the newest, as the admission plugin chooses. */
export function defaultIngressClass(reader: Reader): IngressClass | undefined {
  const [first] = (reader.list(INGRESS_CLASSES) as readonly IngressClass[])
    .filter(({ metadata }) => metadata.annotations?.[DEFAULT_CLASS_ANNOTATION] === 'true')
    .toSorted((a, b) => order(b) - order(a) || (a.metadata.name < b.metadata.name ? -1 : 1))
  return first
}

function order({ metadata }: IngressClass): number {
  return parseTime(metadata.creationTimestamp) ?? 0
}

function parametersText(parameters: ParametersReference | undefined): string {
  if (!parameters) return NONE
  const { kind, apiGroup, name } = parameters
  return `${kind}${apiGroup ? `.${apiGroup}` : ''}/${name}`
}

function validateIngressClass(ingressClass: IngressClass, context: AdmissionContext): Cause[] {
  const { controller = '', parameters } = ingressClass.spec ?? {}
  const field = 'spec.controller'
  const causes = validateMeta(ingressClass, { isNamespaced: false }, context)
  if (controller.length > CONTROLLER_MAX) causes.push(tooLong(field, CONTROLLER_MAX))
  causes.push(...validateController(field, controller))
  if (parameters) causes.push(...validateParameters('spec.parameters', parameters))
  const old = oldOf(ingressClass, context)
  if (old && old.spec.controller !== ingressClass.spec?.controller) {
    causes.push(invalidValue(field, controller, IMMUTABLE))
  }
  return causes
}

/** apimachinery's IsDomainPrefixedPath. */
function validateController(field: string, controller: string): Cause[] {
  if (!controller) return [required(field)]
  const slash = controller.indexOf('/')
  const [host, path] = [controller.slice(0, slash), controller.slice(slash + 1)]
  if (slash <= 0 || !path) {
    const detail = 'must be a domain-prefixed path (such as "acme.io/foo")'
    return [invalidValue(field, controller, detail)]
  }
  const causes = invalidEach(field, host, dnsSubdomainProblems(host))
  if (!new RegExp(`^${HTTP_PATH}$`).test(path)) {
    causes.push(
      invalidValue(field, path, `Invalid path (regex used for validation is '${HTTP_PATH}')`),
    )
  }
  return causes
}

function validateParameters(path: string, parameters: ParametersReference): Cause[] {
  const { apiGroup, kind, name, scope, namespace } = parameters
  const causes: Cause[] = []
  if (apiGroup)
    causes.push(...invalidEach(child(path, 'apiGroup'), apiGroup, dnsSubdomainProblems(apiGroup)))
  if (!kind) causes.push(required(child(path, 'kind'), 'kind is required'))
  if (!name) causes.push(required(child(path, 'name'), 'name is required'))
  if (!scope) return [...causes, required(child(path, 'scope'))]
  if (!SCOPES.includes(scope)) return [...causes, notSupported(child(path, 'scope'), scope, SCOPES)]
  const field = child(path, 'namespace')
  if (scope === 'Cluster' && namespace !== undefined) {
    causes.push(forbidden(field, "`parameters.scope` is set to 'Cluster'"))
  }
  if (scope === 'Namespace' && namespace === undefined) {
    causes.push(required(field, "`parameters.scope` is set to 'Namespace'"))
  } else if (scope === 'Namespace') {
    causes.push(...invalidEach(field, namespace, dnsLabelProblems(namespace ?? '')))
  }
  return causes
}
