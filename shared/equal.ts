// Are two pieces of JSON the same object for Kubernetes? Order of keys does not matter, and a field
// that is undefined, null, or an empty object or list is the same as one that is not there (clients
// send `creationTimestamp: null` and `annotations: {}` where others send nothing).

/** Fields that mean something by being there, however empty: pointers to structs in Kubernetes. */
const SAYS_SOMETHING_WHEN_EMPTY: ReadonlySet<string> = new Set([
  'emptyDir',
  'labelSelector',
  'namespaceSelector',
  'objectSelector',
  'podSelector',
  'running',
  'waiting',
])

/** Semantic deep equality, as apimachinery's equality.Semantic.DeepEqual. */
export function isEqual(a: unknown, b: unknown): boolean {
  return isSame(a, b, '')
}

function isSame(a: unknown, b: unknown, field: string): boolean {
  if (a === b) return true
  if (isUnset(a, field)) return isUnset(b, field)
  if (isUnset(b, field)) return false
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((each, index) => isSame(each, b[index], ''))
  }
  if (!isRecord(a) || !isRecord(b)) return false
  return (
    Object.keys(a).every((key) => isSame(a[key], b[key], key)) &&
    Object.keys(b).every((key) => key in a || isUnset(b[key], key))
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** True for what Kubernetes would leave out of its JSON. */
function isUnset(value: unknown, field: string): boolean {
  if (value === undefined || value === null) return true
  if (Array.isArray(value)) return value.length === 0
  if (!isRecord(value) || SAYS_SOMETHING_WHEN_EMPTY.has(field)) return false
  return Object.entries(value).every(([name, each]) => isUnset(each, name))
}
