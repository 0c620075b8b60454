// The `filter` parameter of lists: `labels.x=y AND (status = RUNNING OR name eq "gke-.*")`.
// Both of Google's styles: comparison operators (=, !=, <, >, <=, >=, :) and RE2 ones (eq, ne).
// https://cloud.google.com/compute/docs/reference/rest/v1/instances/list

import { GoogleError } from './google-error.ts'
import { isJson } from './json.ts'

type Matches = (resource: unknown) => boolean

const TOKEN =
  /\s*(?:([()])|(!=|<=|>=|=|<|>|:)|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s()=!<>:"']+))/y

interface Token {
  kind: 'paren' | 'operator' | 'word'
  text: string
  isQuoted: boolean
}

/** Parses a filter. Error: invalid, as Google says it. */
export function parseFilter(filter: string | undefined): Matches {
  if (!filter?.trim()) return () => true
  const tokens = tokenize(filter)
  const parser = { tokens, at: 0, filter }
  const matches = parseExpression(parser)
  if (parser.at < tokens.length) throw badFilter(filter)
  return matches
}

interface Parser {
  tokens: Token[]
  at: number
  filter: string
}

function tokenize(filter: string): Token[] {
  const tokens: Token[] = []
  const text = filter.trim()
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text)
    if (!match) throw badFilter(filter)
    const [, paren, operator, double, single, word] = match
    const quoted = double ?? single
    if (paren) tokens.push({ kind: 'paren', text: paren, isQuoted: false })
    else if (operator) tokens.push({ kind: 'operator', text: operator, isQuoted: false })
    else {
      const value = quoted === undefined ? (word ?? '') : quoted.replaceAll(/\\(.)/g, '$1')
      tokens.push({ kind: 'word', text: value, isQuoted: quoted !== undefined })
    }
  }
  return tokens
}

/** OR binds weaker than AND; terms that stand side by side are ANDed. */
function parseExpression(parser: Parser): Matches {
  let left = parseConjunction(parser)
  while (isKeyword(parser, 'OR')) {
    parser.at++
    const [first, second] = [left, parseConjunction(parser)]
    left = (resource) => first(resource) || second(resource)
  }
  return left
}

function parseConjunction(parser: Parser): Matches {
  let left = parseTerm(parser)
  for (;;) {
    if (isKeyword(parser, 'AND')) parser.at++
    else if (parser.at >= parser.tokens.length || isKeyword(parser, 'OR')) return left
    if (parser.tokens[parser.at]?.text === ')') return left
    const [first, second] = [left, parseTerm(parser)]
    left = (resource) => first(resource) && second(resource)
  }
}

function parseTerm(parser: Parser): Matches {
  const token = parser.tokens[parser.at++]
  if (token?.kind === 'paren' && token.text === '(') {
    const inner = parseExpression(parser)
    if (parser.tokens[parser.at++]?.text !== ')') throw badFilter(parser.filter)
    return inner
  }
  if (token?.kind === 'word' && !token.isQuoted && token.text === 'NOT') {
    const inner = parseTerm(parser)
    return (resource) => !inner(resource)
  }
  const operator = parser.tokens[parser.at++]
  const value = parser.tokens[parser.at++]
  if (token?.kind !== 'word' || value?.kind !== 'word' || !operator) throw badFilter(parser.filter)
  return comparison(token.text, operator.text, value.text, parser.filter)
}

function isKeyword(parser: Parser, keyword: string): boolean {
  const token = parser.tokens[parser.at]
  return token?.kind === 'word' && !token.isQuoted && token.text === keyword
}

function comparison(field: string, operator: string, value: string, filter: string): Matches {
  const test = valueTest(operator, value, filter)
  return (resource) => test(fieldOf(resource, field))
}

function valueTest(
  operator: string,
  value: string,
  filter: string,
): (actual: string | undefined) => boolean {
  const number = Number(value)
  switch (operator) {
    case '=':
      return value.includes('*') ? wildcard(value) : (actual) => actual === value
    case '!=':
      return (actual) => actual !== value
    case ':':
      return value === '*' ? (actual) => actual !== undefined : contains(value)
    case 'eq':
    case 'ne': {
      const pattern = fullMatch(value, filter)
      return (actual) => (actual !== undefined && pattern.test(actual)) === (operator === 'eq')
    }
    case '<':
      return (actual) => actual !== undefined && Number(actual) < number
    case '>':
      return (actual) => actual !== undefined && Number(actual) > number
    case '<=':
      return (actual) => actual !== undefined && Number(actual) <= number
    case '>=':
      return (actual) => actual !== undefined && Number(actual) >= number
    default:
      throw badFilter(filter)
  }
}

function wildcard(value: string): (actual: string | undefined) => boolean {
  const pattern = new RegExp(`^${value.split('*').map(escape).join('.*')}$`)
  return (actual) => actual !== undefined && pattern.test(actual)
}

function contains(value: string): (actual: string | undefined) => boolean {
  const text = value.toLowerCase()
  if (text.includes('*')) return wildcard(text)
  return (actual) => actual !== undefined && actual.toLowerCase().includes(text)
}

function fullMatch(value: string, filter: string): RegExp {
  try {
    return new RegExp(`^(?:${value})$`)
  } catch {
    throw badFilter(filter)
  }
}

function escape(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}

/** `labels.wherry-pool`, `scheduling.automaticRestart`: a label's name may hold no dot. */
function fieldOf(resource: unknown, field: string): string | undefined {
  let value = resource
  for (const part of field.split('.')) {
    if (!isJson(value)) return undefined
    value = value[part]
  }
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

function badFilter(filter: string): GoogleError {
  return new GoogleError(
    'invalid',
    `Invalid value for field 'filter': '${filter}'. Invalid list filter expression.`,
  )
}
