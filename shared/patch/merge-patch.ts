// JSON merge patch, RFC 7396: null removes a member, objects are merged, everything else replaces.

import { cloneJson, isObject, memberOf, setMember, type JsonObject } from './json.ts'

/** The patched object; neither argument is changed. */
export function applyMergePatch(object: JsonObject, patch: JsonObject): JsonObject {
  const result = { ...object }
  for (const [name, member] of Object.entries(patch)) {
    if (member === null) delete result[name]
    else if (isObject(member)) {
      const before = memberOf(result, name)
      setMember(result, name, applyMergePatch(isObject(before) ? before : {}, member))
    } else setMember(result, name, cloneJson(member))
  }
  return result
}
