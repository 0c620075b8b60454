// What is refused, and in which words: whoever pushed it reads them on GitHub.

import { parseAllDocuments } from 'yaml'
import { describe, expect, test } from 'vitest'
import { renderTree } from './render.ts'
import type { RenderTools } from './tree.ts'

const TOOLS: RenderTools = {
  parseYaml: (text) =>
    parseAllDocuments(text).map((document): unknown => {
      const [error] = document.errors
      if (error) throw error
      return document.toJS()
    }),
  sha256: () => '0'.repeat(64),
  applyJsonPatch: (object) => object,
}
const MAP = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n'

function render(files: Record<string, string>, path = '.'): string[] {
  const tree = new Map(
    Object.entries(files).map(([name, text]) => [name, new TextEncoder().encode(text)]),
  )
  return renderTree(tree, path, TOOLS).map(({ kind, metadata }) => `${kind} ${metadata.name}`)
}

describe('what is rendered', () => {
  const cases: [string, Record<string, string>, string, string[]][] = [
    [
      'all documents of all YAML files below',
      {
        'k/a.yaml': `${MAP}---\n---\n${MAP.replace('name: a', 'name: b')}`,
        'k/d/c.yml': MAP.replace('name: a', 'name: c'),
        'k/README.md': 'x',
      },
      'k',
      ['ConfigMap a', 'ConfigMap b', 'ConfigMap c'],
    ],
    ['one file', { 'k/a.yaml': MAP, 'k/b.yaml': 'nonsense: true' }, 'k/a.yaml', ['ConfigMap a']],
    [
      'the objects of a list',
      {
        'a.yaml':
          'apiVersion: v1\nkind: List\nitems:\n- { apiVersion: v1, kind: ConfigMap, metadata: { name: l } }\n',
      },
      '.',
      ['ConfigMap l'],
    ],
    [
      'a kustomization inside a folder as a whole',
      {
        'a.yaml': MAP,
        'k/kustomization.yaml': 'namePrefix: x-\nresources: [b.yaml]',
        'k/b.yaml': MAP,
      },
      '.',
      ['ConfigMap a', 'ConfigMap x-a'],
    ],
    [
      'nothing of hidden folders',
      { 'a.yaml': MAP, '.github/workflows/ci.yaml': 'on: push', 'node_modules/x/y.yaml': 'z: 1' },
      '.',
      ['ConfigMap a'],
    ],
  ]
  test.each(cases)('%s', (_what, files, path, objects) => {
    expect(render(files, path)).toEqual(objects)
  })
})

describe('what is refused', () => {
  const kustomization = (text: string): Record<string, string> => ({
    'kustomization.yaml': text,
    'a.yaml': MAP,
  })
  const cases: [string, Record<string, string>, string, string][] = [
    ['no such folder', { 'a.yaml': MAP }, 'k8s', 'k8s: there is no such folder at this commit'],
    [
      'a folder without manifests',
      { 'k/README.md': 'x' },
      'k',
      'k: holds no manifests: nothing is deployed, nothing removed',
    ],
    ['broken YAML', { 'a.yaml': 'a: [' }, '.', 'a.yaml: Flow sequence in block collection'],
    [
      'a document that is no object of Kubernetes',
      { 'docker-compose.yaml': 'services: {}' },
      '.',
      'docker-compose.yaml: has no apiVersion and kind: point spec.path to the folder of the manifests',
    ],
    [
      'an object without name',
      { 'a.yaml': 'apiVersion: v1\nkind: ConfigMap\n' },
      '.',
      'a.yaml: ConfigMap has no metadata.name',
    ],
    [
      'a Helm chart',
      { 'k/Chart.yaml': 'name: x', 'k/templates/a.yaml': '{{ x }}' },
      'k',
      'k/Chart.yaml: Helm charts are not rendered here',
    ],
    [
      'a chart in a kustomization',
      kustomization('helmCharts: [{ name: x }]'),
      '.',
      'kustomization.yaml: helmCharts: Helm charts are not rendered here',
    ],
    [
      'a field that is not supported',
      kustomization('resources: [a.yaml]\nreplacements: []'),
      '.',
      'kustomization.yaml: the field replacements is not supported',
    ],
    [
      'a remote base',
      kustomization('resources: ["https://example.com/x.yaml"]'),
      '.',
      'kustomization.yaml: https://example.com/x.yaml: remote resources are not fetched',
    ],
    [
      'a path out of the repository',
      kustomization('resources: [../../etc/passwd]'),
      '.',
      '../../etc/passwd: leads out of the repository',
    ],
    ['a file that is not there', kustomization('resources: [b.yaml]'), '.', 'b.yaml: is not there'],
    [
      'a kustomization that refers to itself',
      kustomization('resources: [.]'),
      '.',
      'kustomization.yaml: refers to itself',
    ],
    [
      'one object twice',
      kustomization('resources: [a.yaml, a.yaml]'),
      '.',
      'kustomization.yaml: ConfigMap "a" is there twice',
    ],
    [
      'a patch for nothing',
      kustomization(
        'resources: [a.yaml]\npatches: [{ patch: "{ apiVersion: v1, kind: ConfigMap, metadata: { name: z } }" }]',
      ),
      '.',
      'the patch is for ConfigMap "z", of which there are 0',
    ],
    [
      'an expression that could run for ever',
      kustomization(
        'resources: [a.yaml]\npatches: [{ target: { name: "(a+)+$" }, patch: "{ metadata: {} }" }]',
      ),
      '.',
      'the pattern (a+)+$ is not supported',
    ],
    [
      'a generator that is there already',
      kustomization("resources: [a.yaml]\nconfigMapGenerator: [{ name: a, literals: ['x=1'] }]"),
      '.',
      'a is there already: say behavior: merge or replace',
    ],
  ]
  test.each(cases)('%s', (_what, files, path, message) => {
    expect(() => render(files, path)).toThrow(message)
  })
})
