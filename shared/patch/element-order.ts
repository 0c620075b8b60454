// The order of a list after a strategic merge: the patch's elements as the patch orders them, those
// that only the server has kept near where they were. As apimachinery's normalizeElementOrder.

import { isObject, isSameJson, memberOf } from './json.ts'

/**
 * `merged` reordered. `wanted` holds elements (or just their keys' objects) in the wished order,
 * `live` the list before the patch. `key` is the merge key of a list of objects.
 */
export function inOrder(
  merged: readonly unknown[],
  wanted: readonly unknown[],
  live: readonly unknown[],
  key: string | undefined,
): unknown[] {
  const position = positions(wanted, key)
  const livePosition = positions(live, key)
  const byPosition =
    (place: (element: unknown) => number) =>
    (a: unknown, b: unknown): number =>
      place(a) - place(b)
  const right = merged.filter((each) => position(each) >= 0).sort(byPosition(position))
  const left = merged.filter((each) => position(each) < 0).sort(byPosition(livePosition))
  const result: unknown[] = []
  let next = 0
  for (const each of right) {
    const place = livePosition(each)
    while (next < left.length) {
      const other = livePosition(left[next])
      if (other < 0 || other >= place) break
      result.push(left[next++])
    }
    result.push(each)
  }
  return [...result, ...left.slice(next)]
}

/** Answers where an element stands in a list, −1 when it does not. */
function positions(
  list: readonly unknown[],
  key: string | undefined,
): (element: unknown) => number {
  const keyOf = (element: unknown): unknown =>
    key !== undefined && isObject(element) ? memberOf(element, key) : element
  const known = new Map<unknown, number>()
  for (const [index, element] of list.entries()) {
    const value = keyOf(element)
    if (!known.has(value)) known.set(value, index)
  }
  return (element) => {
    const value = keyOf(element)
    const index = known.get(value)
    if (index !== undefined || !isObject(value)) return index ?? -1
    return list.findIndex((each) => isSameJson(keyOf(each), value))
  }
}
