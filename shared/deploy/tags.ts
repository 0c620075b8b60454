// Tags as versions: which ones a pattern means, and which of them is the highest.

/** True when the tag fits a pattern in which `*` stands for any text. */
export function matchesTag(pattern: string, tag: string): boolean {
  const parts = pattern.split('*')
  const [first = ''] = parts
  const last = parts.at(-1) ?? ''
  if (parts.length === 1) return tag === pattern
  if (!tag.startsWith(first) || !tag.endsWith(last)) return false
  // Between the ends each part is looked for as early as possible.
  let at = first.length
  const end = tag.length - last.length
  for (const part of parts.slice(1, -1)) {
    const found = tag.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return at <= end
}

/** The part of a pattern before its first `*`: what GitHub is asked for. */
export function tagPrefix(pattern: string): string {
  return pattern.split('*')[0] ?? ''
}

/** The highest version; a pre-release (`v2.0.0-rc.1`) is below its release. */
export function highestTag(tags: readonly string[]): string | undefined {
  return [...tags].sort(compareTags).at(-1)
}

/** Numbers by their value, texts by their letters, part by part. */
export function compareTags(a: string, b: string): number {
  const [left, right] = [partsOf(a), partsOf(b)]
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const order = comparePart(left[index], right[index])
    if (order !== 0) return order
  }
  return a < b ? -1 : a > b ? 1 : 0
}

function partsOf(tag: string): string[] {
  return tag.match(/\d+|-|[A-Za-z]+/g) ?? []
}

function comparePart(a: string | undefined, b: string | undefined): number {
  if (a === b) return 0
  // `1.0` is above `1.0-rc`, and below `1.0.1`.
  if (a === undefined) return b === '-' ? 1 : -1
  if (b === undefined) return a === '-' ? -1 : 1
  const [x, y] = [Number(a), Number(b)]
  if (Number.isNaN(x) || Number.isNaN(y)) return a < b ? -1 : 1
  return x - y
}
