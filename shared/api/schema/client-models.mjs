// Reads descriptions and required fields from the models of @kubernetes/client-node, which are
// generated from Kubernetes' OpenAPI. Used by generate.mjs only.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1)

/** Finds models by our type names (`apps/v1.Deployment` is the class V1Deployment). */
export function readClientModels(folder) {
  const sources = new Map()
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.d.ts'))) {
    sources.set(file.slice(0, -'.d.ts'.length), readFileSync(join(folder, file), 'utf8'))
  }
  return {
    /** The model of a type, if it has one that shares most of its fields. */
    modelOf(typeName, fieldNames) {
      const [, group, version, name] = /^(\w+)\/(\w+)\.(\w+)$/.exec(typeName)
      const simple = capital(version) + name
      for (const candidate of [capital(group) + simple, simple]) {
        const source = sources.get(candidate)
        if (!source) continue
        const model = parseModel(source)
        const shared = fieldNames.filter((field) => model.all.has(field)).length
        if (shared * 2 >= fieldNames.length) return model
      }
      return undefined
    },
  }
}

function parseModel(source) {
  const start = source.indexOf('export declare class')
  const before = source.slice(source.lastIndexOf('/**', start), start)
  const comment = /^\/\*\*([\s\S]*?)\*\/\s*$/.exec(before)?.[1]
  const fields = {}
  const required = new Set()
  const all = new Set()
  const property = /(?:\/\*\*([\s\S]*?)\*\/\s*)?'([\w$-]+)'(\?)?: /g
  for (const [, text, name, optional] of source.slice(start).matchAll(property)) {
    all.add(name)
    if (text) fields[name] = clean(text)
    if (!optional) required.add(name)
  }
  return { description: comment && clean(comment), fields, required, all }
}

function clean(comment) {
  return comment
    .replace(/^\s*\* ?/gm, '')
    .replace(/\\(['"])/g, '$1')
    .trim()
}
