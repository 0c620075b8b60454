// configMapGenerator and secretGenerator: objects made of literals, files and env files.

import { setMember, type JsonObject } from '../../patch/json.ts'
import type { Manifest } from '../manifest.ts'
import {
  joinPath,
  nameOf,
  renderError,
  textAt,
  utf8,
  type RenderTools,
  type Tree,
} from '../tree.ts'
import { reader, type Kustomization } from './kustomization.ts'
import { resourceOf, type Resource } from './resource.ts'

export interface Generation {
  tree: Tree
  tools: RenderTools
  folder: string
  kustomization: Kustomization
  /** What is there already; generated objects are added, or merged into theirs. */
  resources: Resource[]
}

/** Adds what the generators make. */
export function generate(generation: Generation): void {
  const { kustomization } = generation
  for (const each of kustomization.configMapGenerator) add(generation, each, 'ConfigMap')
  for (const each of kustomization.secretGenerator) add(generation, each, 'Secret')
}

function add(generation: Generation, generator: JsonObject, kind: 'ConfigMap' | 'Secret'): void {
  const { kustomization, resources } = generation
  const where = `${kustomization.path}: ${kind === 'Secret' ? 'secretGenerator' : 'configMapGenerator'}`
  const get = reader(generator, where)
  const name = get.text('name')
  if (!name) throw renderError(where, 'name is missing')
  const made = make(generation, generator, kind, where)
  const behavior = get.text('behavior') || 'create'
  const present = resources.find(
    ({ object, names }) =>
      object.kind === kind && (object.metadata.name === name || names.has(name)),
  )
  if (behavior === 'create') {
    if (present)
      throw renderError(where, `${name} is there already: say behavior: merge or replace`)
    resources.push(made)
    return
  }
  if (!present) throw renderError(where, `there is no ${kind} ${name} to ${behavior}`)
  if (behavior !== 'merge' && behavior !== 'replace') {
    throw renderError(where, `behavior ${behavior} is not known`)
  }
  const isMerge = behavior === 'merge'
  for (const member of ['data', 'binaryData']) {
    const [old, added] = [present.object[member], made.object[member]]
    if (old === undefined && added === undefined) continue
    present.object[member] = isMerge ? { ...asMap(old), ...asMap(added) } : asMap(added)
  }
}

function asMap(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function make(
  generation: Generation,
  generator: JsonObject,
  kind: 'ConfigMap' | 'Secret',
  where: string,
): Resource {
  const get = reader(generator, where)
  const shared = reader(generation.kustomization.generatorOptions, where)
  const own = reader(get.object('options'), where)
  const labels = { ...shared.map('labels'), ...own.map('labels') }
  const annotations = { ...shared.map('annotations'), ...own.map('annotations') }
  const namespace = get.text('namespace')
  const isImmutable = shared.flag('immutable') || own.flag('immutable')
  const object: Manifest = {
    apiVersion: 'v1',
    ...contentOf(generation, generator, kind, where),
    kind,
    metadata: {
      name: get.text('name'),
      ...(namespace ? { namespace } : {}),
      ...(Object.keys(labels).length > 0 ? { labels } : {}),
      ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
    },
    ...(kind === 'Secret' ? { type: get.text('type') || 'Opaque' } : {}),
    ...(isImmutable ? { immutable: true } : {}),
  }
  const isPlain = shared.flag('disableNameSuffixHash') || own.flag('disableNameSuffixHash')
  return resourceOf(object, !isPlain)
}

/** `data` and, for what is not text in a ConfigMap, `binaryData`. */
function contentOf(
  generation: Generation,
  generator: JsonObject,
  kind: 'ConfigMap' | 'Secret',
  where: string,
): { data?: JsonObject; binaryData?: JsonObject } {
  const data: JsonObject = {}
  const binaryData: JsonObject = {}
  for (const [key, bytes] of entriesOf(generation, generator, where)) {
    if (Object.hasOwn(data, key) || Object.hasOwn(binaryData, key)) {
      throw renderError(where, `the key ${key} is there twice`)
    }
    const text = utf8(bytes)
    if (kind === 'Secret') setMember(data, key, base64(bytes))
    else if (text === undefined) setMember(binaryData, key, base64(bytes))
    else setMember(data, key, text)
  }
  return {
    ...(Object.keys(data).length > 0 ? { data } : {}),
    ...(Object.keys(binaryData).length > 0 ? { binaryData } : {}),
  }
}

function entriesOf(
  { tree, folder }: Generation,
  generator: JsonObject,
  where: string,
): [string, Uint8Array][] {
  const get = reader(generator, where)
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
  const files = get.texts('files').map((entry): [string, Uint8Array] => {
    const split = entry.indexOf('=')
    const file = joinPath(folder, entry.slice(split + 1))
    const bytes = tree.get(file)
    if (!bytes) throw renderError(where, `there is no file ${file}`)
    return [split < 0 ? nameOf(file) : entry.slice(0, split), bytes]
  })
  const env = get.text('env')
  const envs = [...get.texts('envs'), ...(env ? [env] : [])].flatMap((entry) =>
    envLines(textAt(tree, joinPath(folder, entry)), entry).map(
      ([key, value]): [string, Uint8Array] => [key, encode(value)],
    ),
  )
  const literals = get.texts('literals').map((entry): [string, Uint8Array] => {
    const split = entry.indexOf('=')
    if (split < 1) throw renderError(where, `the literal ${entry} is not key=value`)
    return [entry.slice(0, split), encode(unquoted(entry.slice(split + 1)))]
  })
  return [...envs, ...files, ...literals]
}

/** `KEY=value` lines; empty lines and comments are skipped. */
function envLines(text: string, where: string): [string, string][] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trimStart())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const split = line.indexOf('=')
      if (split < 1) throw renderError(where, `the line ${line} is not KEY=value`)
      return [line.slice(0, split), line.slice(split + 1)]
    })
}

function unquoted(text: string): string {
  const quote = text[0]
  const isQuoted = text.length > 1 && (quote === '"' || quote === "'") && text.endsWith(quote)
  return isQuoted ? text.slice(1, -1) : text
}

function base64(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary)
}
