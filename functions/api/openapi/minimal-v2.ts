// The OpenAPI v2 document: as little as makes clients go on (they then leave validation to the
// server). Old kubectl and helm ask for it always, new ones for manifests of kind List.

/**
 * The type that Go accepts. What clients ask for is written with an @, which Go's own parser of
 * media types refuses in an answer.
 */
export const V2_PROTOBUF = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'

/** gnostic's Document { swagger = 1: "2.0", info = 2: { title = 1, version = 2 } } in protobuf. */
export function minimalV2(version: string): Uint8Array<ArrayBuffer> {
  const info = [...field(1, 'Kubernetes'), ...field(2, version)]
  return Uint8Array.from([...field(1, '2.0'), 0x12, info.length, ...info])
}

/** The same for those who ask for JSON. */
export function minimalV2Json(version: string): object {
  return { swagger: '2.0', info: { title: 'Kubernetes', version }, paths: {} }
}

/** A short text: tag, length, bytes. */
function field(number: number, text: string): number[] {
  const bytes = new TextEncoder().encode(text)
  return [(number << 3) | 2, bytes.length, ...bytes]
}
