// What is wrong with probes and life-cycle hooks: each has exactly one handler, with sensible numbers.

import type { Cause } from '../status.ts'
import {
  IS_NEGATIVE,
  child,
  eachOf,
  forbidden,
  invalidEach,
  invalidValue,
  oneOf,
  required,
} from './field-error.ts'
import type { FieldPath } from './field-error.ts'
import { portNameProblems, portProblems } from './name-rules.ts'
import type { Container, Handler, IntOrString, Probe } from './pod.ts'

const HEADER_NAME = '[-A-Za-z0-9]+'

/** The probes and hooks of an ordinary container. */
export function validateProbes(path: FieldPath, container: Container): Cause[] {
  const { lifecycle, livenessProbe, readinessProbe, startupProbe } = container
  const causes: Cause[] = []
  for (const name of ['postStart', 'preStop'] as const) {
    const hook = lifecycle?.[name]
    if (hook) causes.push(...validateHandler(child(path, 'lifecycle', name), hook, true))
  }
  if (livenessProbe) causes.push(...validateOnce(child(path, 'livenessProbe'), livenessProbe))
  if (readinessProbe) {
    const field = child(path, 'readinessProbe')
    causes.push(...validateProbe(field, readinessProbe))
    if (readinessProbe.terminationGracePeriodSeconds !== undefined) {
      causes.push(
        invalidValue(
          child(field, 'terminationGracePeriodSeconds'),
          readinessProbe.terminationGracePeriodSeconds,
          'must not be set for readinessProbes',
        ),
      )
    }
  }
  if (startupProbe) causes.push(...validateOnce(child(path, 'startupProbe'), startupProbe))
  return causes
}

/** A probe for which one success is enough, and no other number makes sense. */
function validateOnce(field: FieldPath, probe: Probe): Cause[] {
  const causes = validateProbe(field, probe)
  if (probe.successThreshold !== undefined && probe.successThreshold !== 1) {
    causes.push(invalidValue(child(field, 'successThreshold'), probe.successThreshold, 'must be 1'))
  }
  return causes
}

const NUMBERS = [
  'initialDelaySeconds',
  'timeoutSeconds',
  'periodSeconds',
  'successThreshold',
  'failureThreshold',
] as const

function validateProbe(field: FieldPath, probe: Probe): Cause[] {
  const causes = validateHandler(field, probe, false)
  for (const name of NUMBERS) {
    const value = probe[name]
    if (value !== undefined && value < 0) {
      causes.push(invalidValue(child(field, name), value, IS_NEGATIVE))
    }
  }
  const grace = probe.terminationGracePeriodSeconds
  if (grace !== undefined && grace <= 0) {
    causes.push(
      invalidValue(child(field, 'terminationGracePeriodSeconds'), grace, 'must be greater than 0'),
    )
  }
  return causes
}

function validateHandler(field: FieldPath, handler: Handler, isHook: boolean): Cause[] {
  const checks: [name: string, check: () => Cause[]][] = []
  const { exec, httpGet, tcpSocket, grpc, sleep } = handler
  if (exec) {
    checks.push(['exec', () => (exec.command?.length ? [] : [required(`${field}.exec.command`)])])
  }
  if (httpGet) checks.push(['httpGet', () => validateHttpGet(child(field, 'httpGet'), httpGet)])
  if (tcpSocket) {
    checks.push(['tcpSocket', () => validatePort(child(field, 'tcpSocket.port'), tcpSocket.port)])
  }
  if (grpc && !isHook) {
    checks.push(['grpc', () => validatePort(child(field, 'grpc.port'), grpc.port)])
  }
  if (sleep && isHook) checks.push(['sleep', () => validateSleep(field, sleep.seconds)])
  if (checks.length === 0) return [required(field, 'must specify a handler type')]
  return checks.flatMap(([name, check], index) =>
    index === 0
      ? check()
      : [forbidden(child(field, name), 'may not specify more than 1 handler type')],
  )
}

function validateSleep(field: FieldPath, seconds: number): Cause[] {
  if (seconds >= 0) return []
  return [invalidValue(child(field, 'sleep.seconds'), seconds, IS_NEGATIVE)]
}

function validateHttpGet(field: FieldPath, action: NonNullable<Handler['httpGet']>): Cause[] {
  return [
    ...(action.path ? [] : [required(child(field, 'path'))]),
    ...validatePort(child(field, 'port'), action.port),
    ...oneOf(child(field, 'scheme'), action.scheme, ['HTTP', 'HTTPS']),
    ...eachOf(child(field, 'httpHeaders'), action.httpHeaders, (header, at) =>
      new RegExp(`^${HEADER_NAME}$`).test(header.name ?? '')
        ? []
        : [
            invalidValue(
              child(at, 'name'),
              header.name,
              `a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '${HEADER_NAME}')`,
            ),
          ],
    ),
  ]
}

function validatePort(field: FieldPath, port: IntOrString | undefined): Cause[] {
  const problems = typeof port === 'string' ? portNameProblems(port) : portProblems(port)
  return invalidEach(field, port ?? 0, problems)
}
