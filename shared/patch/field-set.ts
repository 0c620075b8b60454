// Sets of fields, as metadata.managedFields keeps them (FieldsV1). A field is named by its path: a text
// of elements, each as FieldsV1 writes it: `f:spec`, `k:{"name":"web"}`, `v:"x"`.

import { isObject, setMember, type JsonObject } from './json.ts'

/** Elements of a path, joined by a character that JSON texts never hold unescaped. */
export type FieldPath = string
export type FieldSet = ReadonlySet<FieldPath>

const SEPARATOR = '\u0000'

/** The path of an element inside another path ('' is the object itself). */
export function inside(path: FieldPath, element: string): FieldPath {
  return path === '' ? element : path + SEPARATOR + element
}

export function union(...sets: FieldSet[]): Set<FieldPath> {
  return new Set(sets.flatMap((set) => [...set]))
}

export function without(set: FieldSet, other: FieldSet): Set<FieldPath> {
  return new Set([...set].filter((path) => !other.has(path)))
}

export function common(set: FieldSet, other: FieldSet): Set<FieldPath> {
  return new Set([...set].filter((path) => other.has(path)))
}

export function isSameSet(a: FieldSet, b: FieldSet): boolean {
  return a.size === b.size && [...a].every((path) => b.has(path))
}

/** The set with every named field that one of its fields stands in; list items do not count. */
export function withParents(set: FieldSet): Set<FieldPath> {
  const result = new Set(set)
  for (const path of set) {
    let end = path.lastIndexOf(SEPARATOR)
    while (end > 0) {
      const parent = path.slice(0, end)
      end = parent.lastIndexOf(SEPARATOR)
      if (parent.startsWith('f:', end + 1)) result.add(parent)
    }
  }
  return result
}

/** The wire form: nested objects, `.` where an inner node is in the set itself. */
export function toFieldsV1(set: FieldSet): JsonObject {
  const root: JsonObject = {}
  for (const path of [...set].sort(byText)) {
    let node = root
    for (const element of path.split(SEPARATOR)) {
      const next = node[element]
      if (isObject(next)) {
        if (Object.keys(next).length === 0) next['.'] = {}
        node = next
      } else {
        const created: JsonObject = {}
        setMember(node, element, created)
        node = created
      }
    }
  }
  return root
}

/** Reads the wire form; what is no object in it is left out. */
export function fromFieldsV1(fields: unknown): Set<FieldPath> {
  const result = new Set<FieldPath>()
  const read = (node: JsonObject, path: FieldPath): void => {
    const members = Object.entries(node)
    if (path !== '' && members.length === 0) result.add(path)
    for (const [element, child] of members) {
      if (element === '.') result.add(path)
      else if (isObject(child)) read(child, inside(path, element))
    }
  }
  if (isObject(fields)) read(fields, '')
  return result
}

/** As messages name it: `.spec.containers[name="web"].image`. */
export function pathText(path: FieldPath): string {
  return path.split(SEPARATOR).map(elementText).join('')
}

function elementText(element: string): string {
  const [type, text] = [element.slice(0, 2), element.slice(2)]
  if (type === 'f:') return `.${text}`
  if (type === 'v:') return `[=${text}]`
  const keys: unknown = JSON.parse(text)
  const parts = Object.entries(isObject(keys) ? keys : {}).map(
    ([name, value]) => `${name}=${JSON.stringify(value)}`,
  )
  return `[${parts.join(',')}]`
}

export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
