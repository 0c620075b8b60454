// Stored objects are shared by views, histories and watches, so nobody may change one. What goes
// into a store is copied as JSON would copy it (no `undefined`), and frozen.

/** A deep, frozen copy of a JSON value; members that are undefined are left out. */
export function frozenCopy<T>(value: T): T {
  return copy(value) as T
}

function copy(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    return Object.freeze(value.map((member) => (member === undefined ? null : copy(member))))
  }
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  return Object.freeze(Object.fromEntries(members.map(([name, member]) => [name, copy(member)])))
}

/** Freezes a value that nobody else holds (just parsed), through and through. */
export function frozen<T>(value: T): T {
  // What is frozen was frozen here, all of it.
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const member of Object.values(value)) frozen(member)
  return Object.freeze(value)
}
