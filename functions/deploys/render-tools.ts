// What rendering takes from packages.

import { createHash } from 'node:crypto'
import { parseAllDocuments } from 'yaml'
import type { RenderTools } from '#shared/deploy/tree.ts'
import { applyJsonPatch } from '../api/json-patch.ts'

/** Aliases that repeat a whole tree make a small text huge: the parser counts them. */
const ALIASES_MAX = 100

export const RENDER_TOOLS: RenderTools = {
  parseYaml: (text) =>
    [...parseAllDocuments(text)].map((document): unknown => {
      const [error] = document.errors
      if (error) throw new Error(error.message.split('\n')[0])
      return document.toJS({ maxAliasCount: ALIASES_MAX })
    }),
  sha256: (text) => createHash('sha256').update(text).digest('hex'),
  applyJsonPatch,
}
