// Which certificate a client is shown: the first that is for the host it names, otherwise the first.
// https://cloud.google.com/load-balancing/docs/ssl-certificates#certificate-selection

import { X509Certificate } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'

interface KeyPair {
  certificate: string
  privateKey: string
}

const contexts = new WeakMap<KeyPair, SecureContext>()

export function contextFor(pairs: readonly KeyPair[], host: string): SecureContext | undefined {
  const pair = pairs.find(({ certificate }) => isFor(certificate, host)) ?? pairs[0]
  if (!pair) return undefined
  const known = contexts.get(pair)
  if (known) return known
  const context = createSecureContext({ cert: pair.certificate, key: pair.privateKey })
  contexts.set(pair, context)
  return context
}

function isFor(certificate: string, host: string): boolean {
  return new X509Certificate(certificate).checkHost(host, { subject: 'default' }) !== undefined
}
