// Our rendering beside the real `kubectl kustomize`: the same objects, whatever the order.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { describe, expect, test } from 'vitest'
import { RENDER_TOOLS } from '#functions/deploys/render-tools.ts'
import { renderTree } from '#shared/deploy/render.ts'
import { kubectl, runClient } from '../clients.ts'

const APP = `apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 2
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      serviceAccountName: runner
      volumes:
        - { name: conf, configMap: { name: settings } }
        - { name: all, projected: { sources: [{ secret: { name: keys } }] } }
      initContainers: [{ name: init, image: 'busybox:1' }]
      containers:
        - name: web
          image: registry.example/web:1.0
          envFrom: [{ configMapRef: { name: settings } }]
          env: [{ name: KEY, valueFrom: { secretKeyRef: { name: keys, key: key } } }]
          ports: [{ containerPort: 8080 }]
        - { name: side, image: 'busybox@sha256:aaaa' }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80 }] }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: runner }
`

interface Case {
  what: string
  files: Record<string, string>
  path?: string
}

const base = (
  kustomization: string,
  more: Record<string, string> = {},
): Record<string, string> => ({
  'app.yaml': APP,
  'kustomization.yaml': `resources: [app.yaml]\n${kustomization}`,
  ...more,
})

const cases: Case[] = [
  { what: 'resources alone', files: base('') },
  { what: 'a namespace', files: base('namespace: prod') },
  { what: 'prefix and suffix, with references', files: base('namePrefix: a-\nnameSuffix: -b') },
  {
    what: 'common labels and annotations',
    files: base('commonLabels: { team: x }\ncommonAnnotations: { note: why }'),
  },
  {
    what: 'labels with and without selectors',
    files: base(`labels:
  - { pairs: { one: '1' } }
  - { pairs: { two: '2' }, includeSelectors: true }
  - { pairs: { three: '3' }, includeTemplates: true }`),
  },
  {
    what: 'images',
    files: base(`images:
  - { name: registry.example/web, newTag: '2.0' }
  - { name: busybox, newName: mirror/busybox, digest: 'sha256:bbbb' }`),
  },
  {
    what: 'numbers of YAML 1.1',
    files: {
      'kustomization.yaml': 'resources: [a.yaml]',
      'a.yaml':
        'apiVersion: v1\nkind: Pod\nmetadata: { name: a, annotations: { when: "2026-01-01" } }\nspec: { containers: [{ name: a, image: a:1, args: [1:30] }], volumes: [{ name: v, secret: { secretName: s, defaultMode: 0644 } }] }\n',
    },
  },
  { what: 'replicas', files: base('replicas: [{ name: web, count: 5 }]') },
  {
    what: 'generators with hashes, references follow',
    files: base(
      `configMapGenerator:
  - { name: settings, literals: ['A=1', 'B="two"', 'C=<&>'], files: [page.html, other=page.html], envs: [vars.env] }
secretGenerator:
  - { name: keys, literals: ['key=geheim'], type: Opaque }
generatorOptions: { labels: { made: here }, annotations: { by: generator } }`,
      { 'page.html': '<b>hi</b>\n', 'vars.env': '# comment\nX=1\n\nY=a=b\n' },
    ),
  },
  {
    what: 'a generator without hash, immutable',
    files: base(`configMapGenerator:
  - { name: settings, literals: ['A=1'], options: { disableNameSuffixHash: true, immutable: true } }`),
  },
  {
    what: 'strategic merge patches, inline, by file and by target',
    files: base(
      `patches:
  - path: more.yaml
  - target: { kind: Deployment, name: web }
    patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: { name: any }
      spec: { template: { spec: { containers: [{ name: side, $patch: delete }] } } }
  - patch: |
      $patch: delete
      apiVersion: v1
      kind: ServiceAccount
      metadata: { name: runner }`,
      {
        'more.yaml':
          'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web, labels: { p: q } }\nspec: { replicas: 4, template: { spec: { containers: [{ name: web, env: [{ name: NEW, value: "1" }] }] } } }\n',
      },
    ),
  },
  {
    what: 'JSON patches',
    files: base(`patches:
  - target: { kind: Service }
    patch: |
      - { op: replace, path: /spec/ports/0/port, value: 81 }
patchesJson6902:
  - target: { version: v1, group: apps, kind: Deployment, name: web }
    patch: |
      - { op: remove, path: /spec/template/spec/containers/1 }`),
  },
  {
    what: 'a base with an overlay that merges its generator',
    path: 'overlay',
    files: {
      'base/app.yaml': APP,
      'base/kustomization.yaml':
        "resources: [app.yaml]\nnamePrefix: b-\nconfigMapGenerator: [{ name: settings, literals: ['A=1', 'B=2'] }]",
      'overlay/kustomization.yaml':
        'resources: [../base]\nnamespace: over\nnameSuffix: -o\nconfigMapGenerator: [{ name: settings, behavior: merge, literals: [\'B=3\'] }]\npatches: [{ target: { kind: Deployment }, patch: \'[{"op": "add", "path": "/metadata/labels", "value": {"x": "y"}}]\' }]',
    },
  },
]

async function reference(files: Record<string, string>, path: string): Promise<unknown[]> {
  const dir = mkdtempSync(join(tmpdir(), 'wherry-kustomize-'))
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(dir, name)), { recursive: true })
      writeFileSync(join(dir, name), text)
    }
    const { code, stdout, stderr } = await runClient(kubectl(), ['kustomize', join(dir, path)], {
      home: dir,
    })
    expect(code, stderr).toBe(0)
    return parseAllDocuments(stdout).map((document): unknown => document.toJS())
  } finally {
    rmSync(dir, { recursive: true })
  }
}

function ours(files: Record<string, string>, path: string): unknown[] {
  const tree = new Map(
    Object.entries(files).map(([name, text]) => [name, new TextEncoder().encode(text)]),
  )
  return renderTree(tree, path, RENDER_TOOLS).map(({ metadata, ...rest }) => {
    const { annotations: { 'deploy.wherry.dev/generated-from': _, ...annotations } = {}, ...kept } =
      metadata
    const isAnnotated = Object.keys(annotations).length > 0
    return { ...rest, metadata: { ...kept, ...(isAnnotated ? { annotations } : {}) } }
  })
}

function sorted(objects: unknown[]): unknown[] {
  const idOf = (object: unknown): string => {
    const { kind, metadata } = object as { kind: string; metadata: { name: string } }
    return `${kind}/${metadata.name}`
  }
  return objects.sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1))
}

describe('as kubectl kustomize', () => {
  test.each(cases)('$what', async ({ files, path = '.' }) => {
    expect(sorted(ours(files, path))).toEqual(sorted(await reference(files, path)))
  })
})
