// The certificates of `spec.tls`: Secrets of type kubernetes.io/tls. Which of them a client is shown
// is decided by the host that it names (SNI).

import type { Secret } from '../api/config.ts'
import type { Ingress } from '../api/ingress.ts'
import { derivedUid } from '../hash.ts'
import { keyOf, type Key } from '../key.ts'
import { CERTIFICATES_MAX, type HttpCertificate } from '../ports/http-balancers.ts'
import type { Reader } from '../view/reader.ts'

const CERTIFICATE = 'tls.crt'
const PRIVATE_KEY = 'tls.key'

export interface PlannedCertificates {
  certificates: HttpCertificate[]
  /** Name of the certificate → uids of the Ingresses that want it. */
  users: Map<string, string[]>
}

/** Each certificate once. A Secret that is no good is a complaint, and costs nobody else anything. */
export function planCertificates(
  reader: Reader,
  entry: string,
  ingresses: readonly Ingress[],
  complain: (ingress: Ingress, problem: string) => void,
): PlannedCertificates {
  const certificates = new Map<string, HttpCertificate>()
  const users = new Map<string, string[]>()
  for (const ingress of ingresses) {
    for (const { secretName } of ingress.spec.tls ?? []) {
      if (!secretName) continue
      const found = certificateOf(reader, entry, ingress.metadata.namespace ?? '', secretName)
      if (typeof found === 'string') {
        complain(ingress, found)
        continue
      }
      const isNew = !certificates.has(found.name)
      if (isNew && certificates.size >= CERTIFICATES_MAX) {
        complain(
          ingress,
          `secret "${secretName}": there are ${CERTIFICATES_MAX} certificates already, which is the most that one address takes`,
        )
        continue
      }
      certificates.set(found.name, found)
      users.set(found.name, [...(users.get(found.name) ?? []), ingress.metadata.uid])
    }
  }
  return { certificates: [...certificates.values()], users }
}

/** The Secrets that an Ingress names. */
export function secretsOf({ metadata, spec }: Ingress): Key[] {
  return (spec.tls ?? []).flatMap(({ secretName }) =>
    secretName ? [keyOf('secrets', metadata.namespace, secretName)] : [],
  )
}

function certificateOf(
  reader: Reader,
  entry: string,
  namespace: string,
  name: string,
): HttpCertificate | string {
  const secret: Secret | undefined = reader.get(keyOf('secrets', namespace, name))
  if (!secret) return `secret "${namespace}/${name}" does not exist`
  const certificate = textOf(secret, CERTIFICATE)
  const privateKey = textOf(secret, PRIVATE_KEY)
  if (!certificate) return `secret "${namespace}/${name}" has no '${CERTIFICATE}'`
  if (!privateKey) return `secret "${namespace}/${name}" has no '${PRIVATE_KEY}'`
  const digest = derivedUid(certificate, privateKey).replaceAll('-', '').slice(0, 16)
  return { name: `${entry}-cr-${digest}`, certificate, privateKey }
}

function textOf(secret: Secret, key: string): string | undefined {
  const value = secret.data?.[key]
  return value ? atob(value) : undefined
}
