// `kustomize build` of the common subset: resources, generators, patches, namespace, names, labels,
// annotations, replicas, images, in kustomize's order. The result is compared with the real
// `kubectl kustomize` in build.test.ts.

import { MANIFESTS_MAX, manifestsOf, shownManifest, type Manifest } from '../manifest.ts'
import {
  folderOf,
  joinPath,
  kustomizationIn,
  parsed,
  pathsBelow,
  refuseChart,
  renderError,
  textAt,
  type RenderTools,
  type Tree,
} from '../tree.ts'
import { generate } from './generate.ts'
import { appendHashes } from './hash.ts'
import { readKustomization, type Kustomization } from './kustomization.ts'
import { applyJsonPatches, applyPatches, applyStrategicFiles } from './patches.ts'
import { fixReferences } from './references.ts'
import { resourceOf, type Resource } from './resource.ts'
import {
  addAnnotations,
  addLabels,
  addNames,
  setImages,
  setNamespace,
  setReplicas,
} from './transform.ts'

const DEPTH_MAX = 20

/** What a kustomization and all that it refers to add up to. */
export function buildKustomization(tree: Tree, folder: string, tools: RenderTools): Manifest[] {
  const resources = build({ tree, tools, folders: [] }, folder)
  appendHashes(resources, tools)
  fixReferences(resources)
  return resources.map(({ object }) => object)
}

interface Build {
  tree: Tree
  tools: RenderTools
  /** The kustomizations on the way here. */
  folders: readonly string[]
}

function build(context: Build, folder: string): Resource[] {
  const { tree, tools, folders } = context
  refuseChart(tree, folder)
  const path = kustomizationIn(tree, folder)
  if (path === undefined) {
    const what = pathsBelow(tree, folder).length > 0 ? 'has no kustomization.yaml' : 'is not there'
    throw renderError(folder || '.', what)
  }
  if (folders.includes(folder)) throw renderError(path, 'refers to itself')
  if (folders.length >= DEPTH_MAX) throw renderError(path, 'is nested too deep')
  const kustomization = readKustomization(tree, path, tools)
  const inner = { ...context, folders: [...folders, folder] }
  const resources = kustomization.resources.flatMap((each) => load(inner, kustomization, each))
  if (resources.length > MANIFESTS_MAX) {
    throw renderError(path, `makes more than ${MANIFESTS_MAX} objects`)
  }
  generate({ tree, tools, folder, kustomization, resources })
  checkUnique(kustomization, resources)
  return transform(context, folder, kustomization, resources)
}

/** One entry of `resources`: a file, or a folder with a kustomization. */
function load(context: Build, { path }: Kustomization, entry: string): Resource[] {
  const { tree, tools } = context
  if (/^[a-z]+:\/\/|^git@|[?]ref=|^github\.com\//.test(entry)) {
    throw renderError(path, `${entry}: remote resources are not fetched, vendor them`)
  }
  const target = joinPath(folderOf(path), entry)
  if (tree.has(target)) {
    const documents = parsed(textAt(tree, target), target, tools)
    return manifestsOf(documents, target).map((object) => resourceOf(object))
  }
  return build(context, target)
}

function transform(
  { tree, tools }: Build,
  folder: string,
  kustomization: Kustomization,
  loaded: Resource[],
): Resource[] {
  const scope = { tree, tools, folder, path: kustomization.path }
  let resources = applyStrategicFiles(scope, kustomization.patchesStrategicMerge, loaded)
  resources = applyPatches(scope, kustomization.patches, resources)
  setNamespace(kustomization.namespace, resources)
  addNames(kustomization.namePrefix, kustomization.nameSuffix, resources)
  addLabels(kustomization, resources)
  addAnnotations(kustomization.commonAnnotations, resources)
  resources = applyJsonPatches(scope, kustomization.patchesJson6902, resources)
  setReplicas(kustomization, resources)
  setImages(kustomization, resources)
  if (kustomization.namePrefix || kustomization.nameSuffix) fixReferences(resources)
  return resources
}

/** Two objects of one name would overwrite each other. */
function checkUnique({ path }: Kustomization, resources: readonly Resource[]): void {
  const seen = new Set<string>()
  for (const { object } of resources) {
    const id = [object.apiVersion, object.kind, object.metadata.namespace, object.metadata.name]
    const key = id.join(' ')
    if (seen.has(key)) throw renderError(path, `${shownManifest(object)} is there twice`)
    seen.add(key)
  }
}
