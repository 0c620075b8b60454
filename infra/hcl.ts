// Reads Terraform's language. The parser's own types would bring the browser's globals into every
// file of this program, so it is loaded without them.

import { createRequire } from 'node:module'

interface Parser {
  parse(file: string, text: string): Promise<Record<string, unknown>>
}

const require = createRequire(import.meta.url)
const parser: Parser = require('@cdktf/hcl2json')

/** The file's blocks as JSON, as Terraform's JSON syntax has them. Rejects with the parser's words. */
export const parseHcl: Parser['parse'] = (file, text) => parser.parse(file, text)
