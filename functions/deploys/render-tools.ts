// What rendering takes from packages.

import { createHash } from 'node:crypto'
import {
  parseAllDocuments,
  type ParseOptions,
  type DocumentOptions,
  type SchemaOptions,
} from 'yaml'
import type { RenderTools } from '#shared/deploy/tree.ts'
import { applyJsonPatch } from '../api/json-patch.ts'

/** Aliases that repeat a whole tree make a small text huge: the parser counts them. */
const ALIASES_MAX = 100

/**
 * As kubectl and kustomize read: YAML 1.1, in which 0644 is octal and `yes` is true, but times and
 * such are texts.
 */
const LIKE_KUBECTL: ParseOptions & DocumentOptions & SchemaOptions = {
  version: '1.1',
  customTags: (tags) =>
    tags.filter((tag) =>
      typeof tag === 'string'
        ? !JAVA_SCRIPT_ONLY.test(tag)
        : !JAVA_SCRIPT_ONLY.test(tag.tag) && !('format' in tag && tag.format === 'TIME'),
    ),
}
const JAVA_SCRIPT_ONLY = /timestamp|binary|omap|pairs|set$/

export const RENDER_TOOLS: RenderTools = {
  parseYaml: (text) =>
    [...parseAllDocuments(text, LIKE_KUBECTL)].map((document): unknown => {
      const [error] = document.errors
      if (error) throw new Error(error.message.split('\n')[0])
      return document.toJS({ maxAliasCount: ALIASES_MAX })
    }),
  sha256: (text) => createHash('sha256').update(text).digest('hex'),
  applyJsonPatch,
}
