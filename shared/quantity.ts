// Kubernetes quantities (`100m`, `1.5Gi`, `2e3`) as exact numbers, and back in canonical form.
// The rules are those of apimachinery's resource.Quantity: nothing finer than a nano, rounded up.

/** Which family of suffixes a quantity was written in; kept when it is printed. */
type Format = 'DecimalSI' | 'BinarySI' | 'DecimalExponent'

interface Parsed {
  /** In 10⁻⁹. */
  nanos: bigint
  format: Format
}

const TEXT = /^([+-]?)(\d*)(?:\.(\d*))?(?:([eE][+-]?\d+)|([KMGTPE]i)|([numkMGTPE]?))$/
const DECIMAL: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  '': 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
}
const DECIMAL_SUFFIX = new Map(Object.entries(DECIMAL).map(([suffix, power]) => [power, suffix]))
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']
const NANO = 1_000_000_000n
const MAX_NANOS = ((1n << 63n) - 1n) * NANO

/** What Kubernetes says of a text that is no quantity. */
export const NOT_A_QUANTITY =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

/** True when the text is a quantity. */
export function isQuantity(text: unknown): text is string {
  return typeof text === 'string' && parse(text) !== undefined
}

/**
 * The value in thousandths, rounded up: `250m` → 250, `2` → 2000. For cpu. 0 for undefined or a text
 * that is no quantity (validation has refused those).
 */
export function milliValue(quantity: string | undefined): number {
  return Number(ceilDivide(nanosOf(quantity), 1_000_000n))
}

/** The value in units (bytes, pods), rounded up: `1Ki` → 1024. 0 as in milliValue. */
export function wholeValue(quantity: string | undefined): number {
  return Number(ceilDivide(nanosOf(quantity), NANO))
}

/** Below 0, 0 or above 0 as a is less than, equal to or more than b. */
export function compareQuantities(a: string | undefined, b: string | undefined): number {
  const difference = nanosOf(a) - nanosOf(b)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** a + b in canonical form and a's family of suffixes (b's when a is zero). */
export function addQuantities(a: string, b: string): string {
  const [left, right] = [parse(a) ?? ZERO, parse(b) ?? ZERO]
  const format = left.nanos === 0n ? right.format : left.format
  return print({ nanos: left.nanos + right.nanos, format })
}

/** a − b, likewise. */
export function subtractQuantities(a: string, b: string): string {
  const [left, right] = [parse(a) ?? ZERO, parse(b) ?? ZERO]
  const format = left.nanos === 0n ? right.format : left.format
  return print({ nanos: left.nanos - right.nanos, format })
}

/** The larger of two quantities. */
export function maxQuantity(a: string, b: string): string {
  return compareQuantities(a, b) >= 0 ? a : b
}

/**
 * A quantity as Kubernetes writes it: `0.5` → `500m`, `1000m` → `1`, `2048Ki` → `2Mi`. It may come as
 * a number (YAML's `cpu: 1`). What is no quantity stays as it is, for validation to refuse.
 */
export function canonicalQuantity(quantity: string | number): string {
  const parsed = parse(String(quantity))
  return parsed ? print(parsed) : String(quantity)
}

/** The same, rounded up to thousandths, as a resource list's values are. */
export function canonicalMilli(quantity: string | number): string {
  const parsed = parse(String(quantity))
  if (!parsed) return String(quantity)
  return print({ ...parsed, nanos: ceilDivide(parsed.nanos, 1_000_000n) * 1_000_000n })
}

/** Bytes as a canonical binary quantity: 1048576 → `1Mi`. */
export function bytesQuantity(bytes: number): string {
  return print({ nanos: BigInt(Math.round(bytes)) * NANO, format: 'BinarySI' })
}

/** Thousandths as a canonical quantity: 250 → `250m`, 2000 → `2`. */
export function milliQuantity(millis: number): string {
  return print({ nanos: BigInt(Math.round(millis)) * 1_000_000n, format: 'DecimalSI' })
}

const ZERO: Parsed = { nanos: 0n, format: 'DecimalSI' }

function nanosOf(quantity: string | undefined): bigint {
  return quantity === undefined ? 0n : (parse(quantity)?.nanos ?? 0n)
}

function parse(text: string): Parsed | undefined {
  const match = TEXT.exec(text)
  if (!match) return undefined
  const [, sign, whole = '', fraction = '', exponent, binary, decimal = ''] = match
  if (whole === '' && fraction === '') return undefined
  const digits = BigInt(`${whole}${fraction}`)
  const format: Format = exponent ? 'DecimalExponent' : binary ? 'BinarySI' : 'DecimalSI'
  const power = exponent ? Number(exponent.slice(1)) : (DECIMAL[decimal] ?? 0)
  if (Math.abs(power) > 100) return undefined
  const factor = binary ? 1n << BigInt(10 * BINARY.indexOf(binary)) : 1n
  const scale = power + 9 - fraction.length
  const scaled =
    scale >= 0
      ? digits * factor * 10n ** BigInt(scale)
      : ceilDivide(digits * factor, 10n ** BigInt(-scale))
  const capped = scaled > MAX_NANOS ? MAX_NANOS : scaled
  return { nanos: sign === '-' ? -capped : capped, format }
}

function print({ nanos, format }: Parsed): string {
  if (nanos === 0n) return '0'
  const sign = nanos < 0n ? '-' : ''
  const size = nanos < 0n ? -nanos : nanos
  const isBinary = format === 'BinarySI' && size >= 1024n * NANO && size % NANO === 0n
  if (isBinary) {
    let value = size / NANO
    let step = 0
    while (value % 1024n === 0n && step < BINARY.length - 1) {
      value /= 1024n
      step++
    }
    return `${sign}${value}${BINARY[step]}`
  }
  let value = size
  let power = -9
  while (value % 1000n === 0n && power < 18) {
    value /= 1000n
    power += 3
  }
  if (format === 'DecimalExponent') return `${sign}${value}${power === 0 ? '' : `e${power}`}`
  return `${sign}${value}${DECIMAL_SUFFIX.get(power) ?? ''}`
}

function ceilDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by
  return value > 0n && value % by !== 0n ? quotient + 1n : quotient
}
