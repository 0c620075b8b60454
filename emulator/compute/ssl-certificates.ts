// sslCertificates, global and self-managed: insert, get, list, delete. The private key is never shown.
// https://cloud.google.com/compute/docs/reference/rest/v1/sslCertificates

import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { Hono } from 'hono'
import type { Context } from './context.ts'
import { GoogleError } from './google-error.ts'
import { needText, type Json } from './json.ts'
import type { ResourceType } from './resource-routes.ts'
import { addSimpleRoutes, linkedBy } from './simple-resource.ts'
import { timestamp, type Named, type SslCertificate } from './state.ts'

export function addSslCertificateRoutes(app: Hono, ctx: Context): void {
  const type: ResourceType<SslCertificate> = {
    plural: 'sslCertificates',
    kind: 'compute#sslCertificate',
    scopeKind: 'global',
    isAggregated: true,
    items: ctx.state.sslCertificates,
    show: ({ privateKey, ...shown }) => (privateKey ? shown : {}),
  }
  addSimpleRoutes(app, ctx, type, {
    read: readCertificate,
    userOf: ({ selfLink }) =>
      linkedBy(ctx.state.targetHttpsProxies, (proxy) => proxy.sslCertificates ?? [], selfLink),
    changed: async () => {},
  })
}

function readCertificate(body: Json): Omit<SslCertificate, keyof Named> {
  const certificate = needText(body, 'certificate')
  const privateKey = needText(body, 'privateKey')
  const leaf = parsed(
    () => new X509Certificate(certificate),
    'The SSL certificate could not be parsed.',
  )
  const key = parsed(() => createPrivateKey(privateKey), 'The SSL key could not be parsed.')
  if (!leaf.checkPrivateKey(key)) {
    throw new GoogleError('invalid', 'The SSL certificate and private key do not match.')
  }
  const names = (leaf.subjectAltName ?? '')
    .split(', ')
    .flatMap((name) => (name.startsWith('DNS:') ? [name.slice('DNS:'.length)] : []))
  return {
    type: 'SELF_MANAGED',
    certificate,
    privateKey,
    selfManaged: { certificate },
    subjectAlternativeNames: names,
    expireTime: timestamp(Date.parse(leaf.validTo)),
  }
}

function parsed<T>(parse: () => T, text: string): T {
  try {
    return parse()
  } catch {
    throw new GoogleError('invalid', text)
  }
}
