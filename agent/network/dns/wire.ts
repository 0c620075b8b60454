// What has to be read or changed in a DNS message as it came, without taking it apart: forwarded
// answers keep every byte but their number and their ages.
// Format: https://www.rfc-editor.org/rfc/rfc1035#section-4.1

export const HEADER_BYTES = 12
const TYPE_OPT = 41
const TYPE_SOA = 6

/** Where the TTLs of a message's records are, and how long the message may be kept. */
export interface Ages {
  offsets: number[]
  /** The smallest TTL; of a negative answer, what its SOA record says. Undefined: do not keep. */
  seconds: number | undefined
}

/** Reads the records' TTLs. Throws a RangeError when the message is cut or wrong. */
export function agesOf(message: Buffer): Ages {
  const counts = [6, 8, 10].map((offset) => message.readUInt16BE(offset))
  const [answers = 0] = counts
  let offset = skipQuestions(message)
  const offsets: number[] = []
  let seconds: number | undefined
  const total = counts.reduce((sum, count) => sum + count, 0)
  for (let index = 0; index < total; index++) {
    offset = skipName(message, offset)
    const type = message.readUInt16BE(offset)
    const ttl = message.readUInt32BE(offset + 4)
    const length = message.readUInt16BE(offset + 8)
    const end = offset + 10 + length
    if (end > message.length) throw new RangeError('a record is cut off')
    if (type !== TYPE_OPT) {
      offsets.push(offset + 4)
      const minimum = type === TYPE_SOA && length >= 20 ? message.readUInt32BE(end - 4) : ttl
      // Without answers only the SOA record says how long.
      if (answers > 0 || type === TYPE_SOA) {
        seconds = Math.min(seconds ?? Infinity, ttl, answers > 0 ? ttl : minimum)
      }
    }
    offset = end
  }
  return { offsets, seconds }
}

/** A copy for another asker: its number, its spelling of the question, and what is left of the TTLs. */
export function renewed(
  message: Buffer,
  { offsets }: Pick<Ages, 'offsets'>,
  { query, olderSeconds }: { query: Buffer; olderSeconds: number },
): Buffer {
  const copy = Buffer.from(message)
  query.copy(copy, 0, 0, 2)
  const end = skipQuestions(message)
  // Of equal names the letters may differ in case: the asker must find its own again.
  if (skipQuestions(query) === end) query.copy(copy, HEADER_BYTES, HEADER_BYTES, end)
  for (const offset of offsets) {
    copy.writeUInt32BE(Math.max(0, message.readUInt32BE(offset) - olderSeconds), offset)
  }
  return copy
}

/** Where the records begin. */
export function skipQuestions(message: Buffer): number {
  let offset = HEADER_BYTES
  const count = message.readUInt16BE(4)
  for (let index = 0; index < count; index++) offset = skipName(message, offset) + 4
  return offset
}

function skipName(message: Buffer, start: number): number {
  let offset = start
  for (;;) {
    const length = message.readUInt8(offset)
    if (length === 0) return offset + 1
    // A pointer ends the name.
    if (length >= 0xc0) return offset + 2
    offset += length + 1
  }
}
