// Names and uids that are derived, never drawn: two runs of one step ask for the same object, and
// the store refuses the second. FNV-1a, as Kubernetes uses for the pod-template-hash.

const ENCODER = new TextEncoder()

/** 32-bit FNV-1a of a text's UTF-8 bytes. */
export function fnv32(text: string, seed = 0x811c9dc5): number {
  let hash = seed >>> 0
  for (const byte of ENCODER.encode(text)) {
    hash ^= byte
    hash = Math.imul(hash, 0x01000193) >>> 0
  }
  return hash >>> 0
}

// Kubernetes' rand.SafeEncodeString: no vowels and no look-alikes, so that no word can appear.
const SAFE = 'bcdfghjklmnpqrstvwxz2456789'

/** A short name of `length` safe characters that depends on every part, e.g. `x7k2p`. */
export function safeName(length: number, ...parts: (string | number)[]): string {
  const text = parts.join('\u0000')
  let name = ''
  let state = fnv32(text)
  for (let index = 0; index < length; index++) {
    state = fnv32(`${index}:${text}`, mix(state))
    name += SAFE[mix(state) % SAFE.length]
  }
  return name
}

/** Kubernetes' SafeEncodeString of a number's decimal digits: how a pod-template-hash looks. */
export function safeEncode(value: number): string {
  return Array.from(String(value), (digit) => SAFE[digit.charCodeAt(0) % SAFE.length]).join('')
}

/** A uid in the form of an RFC 9562 version 8 UUID that depends on every part. */
export function derivedUid(...parts: (string | number)[]): string {
  const text = parts.join('\u0000')
  const hex = [0, 1, 2, 3]
    .map((index) =>
      mix(fnv32(`${index}\u0001${text}`))
        .toString(16)
        .padStart(8, '0'),
    )
    .join('')
  const variant = ((Number.parseInt(hex[16] ?? '0', 16) & 0x3) | 0x8).toString(16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** MurmurHash3's finalizer: spreads what FNV leaves clustered in the low bits. */
function mix(value: number): number {
  let h = value >>> 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b) >>> 0
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35) >>> 0
  return (h ^ (h >>> 16)) >>> 0
}
