// A repository's files at one commit, as far as a deploy may need them, and the paths in it.

import { StatusError } from '../status.ts'

/** Path without a leading slash → content. Folders are not in it. */
export type Tree = ReadonlyMap<string, Uint8Array>

/** What rendering needs and `shared/` cannot have: parsers and hashes are packages. */
export interface RenderTools {
  /** All documents of a YAML text, null ones included. Error: a text that says what is wrong. */
  parseYaml: (text: string) => unknown[]
  /** SHA-256 of a text's UTF-8 bytes, in hexadecimal. */
  sha256: (text: string) => string
  /** RFC 6902. Error: StatusError. */
  applyJsonPatch: (object: Record<string, unknown>, patch: unknown) => Record<string, unknown>
}

/** What is wrong with what Git holds: told to whoever pushed it. */
export function renderError(where: string, what: string): StatusError {
  return new StatusError('Invalid', `${where}: ${what}`, {
    causes: [{ field: where, message: what }],
  })
}

/** `a/b` and `../c` → `a/c`. Error: the path leaves the repository. */
export function joinPath(folder: string, relative: string): string {
  const parts: string[] = []
  for (const part of `${folder}/${relative}`.split('/')) {
    if (part === '' || part === '.') continue
    if (part !== '..') parts.push(part)
    else if (parts.pop() === undefined) {
      throw renderError(relative, 'leads out of the repository')
    }
  }
  return parts.join('/')
}

/** The folder of a file; '' for the root. */
export function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''
}

export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** The file's text. Errors: it is not there, it is not UTF-8. */
export function textAt(tree: Tree, path: string): string {
  const bytes = tree.get(path)
  if (!bytes) throw renderError(path, 'there is no such file in the repository')
  const text = utf8(bytes)
  if (text === undefined) throw renderError(path, 'is not UTF-8 text')
  return text
}

/** Undefined when the bytes are no UTF-8. */
export function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** The paths below a folder, in order. */
export function pathsBelow(tree: Tree, folder: string): string[] {
  const prefix = folder === '' ? '' : `${folder}/`
  return [...tree.keys()].filter((path) => path.startsWith(prefix)).sort()
}

const KUSTOMIZATIONS = ['kustomization.yaml', 'kustomization.yml', 'Kustomization']

/** The kustomization file of a folder, if it has one. */
export function kustomizationIn(tree: Tree, folder: string): string | undefined {
  return KUSTOMIZATIONS.map((name) => joinPath(folder, name)).find((path) => tree.has(path))
}

/** Error: the folder is a Helm chart, which nothing here renders. */
export function refuseChart(tree: Tree, folder: string): void {
  const path = joinPath(folder, 'Chart.yaml')
  if (!tree.has(path)) return
  throw renderError(
    path,
    'Helm charts are not rendered here: commit the output of `helm template` and point spec.path to it',
  )
}

/** Documents of a file. Error: Invalid, with the parser's words. */
export function parsed(text: string, where: string, { parseYaml }: RenderTools): unknown[] {
  try {
    return parseYaml(text)
  } catch (error) {
    throw renderError(where, error instanceof Error ? error.message : String(error))
  }
}
