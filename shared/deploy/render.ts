// From the files of a commit to the objects that shall exist: plain manifests of a folder, or what
// its kustomization makes of them. Pure and bounded; whatever is not understood is refused by name.

import { buildKustomization } from './kustomize/build.ts'
import { MANIFESTS_MAX, manifestsOf, type Manifest } from './manifest.ts'
import {
  folderOf,
  joinPath,
  kustomizationIn,
  nameOf,
  parsed,
  pathsBelow,
  refuseChart,
  renderError,
  textAt,
  type RenderTools,
  type Tree,
} from './tree.ts'

const YAML = /\.ya?ml$/
const SKIPPED = /(^|\/)(\.[^/]+|node_modules)\//

/** The objects below `path`, a folder or one file. Error: Invalid, saying where and what. */
export function renderTree(tree: Tree, path: string, tools: RenderTools): Manifest[] {
  const folder = joinPath('', path)
  const manifests = tree.has(folder)
    ? readFile(tree, folder, tools)
    : renderFolder(tree, folder, tools)
  if (manifests.length === 0) {
    throw renderError(folder || '.', 'holds no manifests: nothing is deployed, nothing removed')
  }
  if (manifests.length > MANIFESTS_MAX) {
    throw renderError(folder || '.', `holds ${manifests.length} objects, at most ${MANIFESTS_MAX}`)
  }
  return manifests
}

/** A folder with a kustomization is built, any other is read with the folders in it. */
export function renderFolder(tree: Tree, folder: string, tools: RenderTools): Manifest[] {
  refuseChart(tree, folder)
  if (kustomizationIn(tree, folder) !== undefined) return buildKustomization(tree, folder, tools)
  const paths = pathsBelow(tree, folder)
  if (paths.length === 0) throw renderError(folder || '.', 'there is no such folder at this commit')
  const built = new Set<string>()
  const prefix = folder === '' ? '' : `${folder}/`
  return paths.flatMap((path) => {
    const inside = path.slice(prefix.length)
    if (SKIPPED.test(`/${inside}`)) return []
    const root = specialFolder(tree, folder, folderOf(path))
    if (root !== undefined) {
      if (built.has(root)) return []
      built.add(root)
      return renderFolder(tree, root, tools)
    }
    return YAML.test(nameOf(path)) ? readFile(tree, path, tools) : []
  })
}

/** The outermost folder above a file, below `root`, that must be rendered as a whole. */
function specialFolder(tree: Tree, root: string, folder: string): string | undefined {
  let found: string | undefined
  for (let at = folder; at !== root && at !== ''; at = folderOf(at)) {
    if (kustomizationIn(tree, at) !== undefined || tree.has(joinPath(at, 'Chart.yaml'))) found = at
  }
  return found
}

function readFile(tree: Tree, path: string, tools: RenderTools): Manifest[] {
  return manifestsOf(parsed(textAt(tree, path), path, tools), path)
}
