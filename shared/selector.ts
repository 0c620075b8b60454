// Label selectors, from objects (`matchLabels`, `matchExpressions`) and from query text
// (`a=b,c!=d,e in (x,y),!f`). Texts are parsed, and refused, in Kubernetes' words.

import type { LabelSelector } from './api/meta.ts'
import { labelKeyProblems, labelValueProblems } from './api/name-rules.ts'
import { StatusError } from './status.ts'

type Operator = 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt'

/** One condition on the labels. */
export interface Requirement {
  key: string
  operator: Operator
  values: readonly string[]
}

/** All of them must hold; [] selects everything. */
export type Selector = readonly Requirement[]

/** Selects nothing: what an absent label selector means. */
const NOTHING: Selector = [{ key: '', operator: 'In', values: [] }]

type Labels = Readonly<Record<string, string>> | undefined

/** True when the labels satisfy every requirement. */
export function matches(selector: Selector, labels: Labels): boolean {
  return selector.every((requirement) => isMet(requirement, labels?.[requirement.key]))
}

/** True when the labels satisfy a LabelSelector: absent selects nothing, empty everything. */
export function matchesLabelSelector(selector: LabelSelector | undefined, labels: Labels): boolean {
  return matches(selectorOf(selector), labels)
}

/** A LabelSelector as requirements. Absent selects nothing, empty everything. */
export function selectorOf(selector: LabelSelector | undefined): Selector {
  if (!selector) return NOTHING
  const fromLabels = Object.entries(selector.matchLabels ?? {}).map(
    ([key, value]): Requirement => ({ key, operator: 'In', values: [value] }),
  )
  const fromExpressions = (selector.matchExpressions ?? []).map(
    ({ key, operator, values }): Requirement => ({ key, operator, values: values ?? [] }),
  )
  return [...fromLabels, ...fromExpressions]
}

/** A plain map of labels (Service spec.selector) as requirements. */
export function selectorOfLabels(labels: Readonly<Record<string, string>>): Selector {
  return Object.entries(labels).map(([key, value]) => ({ key, operator: 'In', values: [value] }))
}

function isMet({ operator, values }: Requirement, value: string | undefined): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    case 'Gt':
      return isLess(values[0], value)
    case 'Lt':
      return isLess(value, values[0])
    default:
      return false
  }
}

function isLess(small: string | undefined, large: string | undefined): boolean {
  const [left, right] = [integer(small), integer(large)]
  return left !== undefined && right !== undefined && left < right
}

function integer(text: string | undefined): bigint | undefined {
  return text !== undefined && /^[+-]?\d+$/.test(text) ? BigInt(text) : undefined
}

/**
 * Requirements as text, in order of their keys: `a=b,c!=d,e in (x,y),!f`. The SELECTOR column and
 * Scale's status.selector.
 */
export function formatSelector(selector: Selector): string {
  return [...selector]
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(formatRequirement)
    .join(',')
}

function formatRequirement({ key, operator, values }: Requirement): string {
  const list = `(${[...values].sort().join(',')})`
  switch (operator) {
    case 'In':
      return values.length === 1 ? `${key}=${values[0]}` : `${key} in ${list}`
    case 'NotIn':
      return values.length === 1 ? `${key}!=${values[0]}` : `${key} notin ${list}`
    case 'Exists':
      return key
    case 'DoesNotExist':
      return `!${key}`
    case 'Gt':
      return `${key}>${values[0]}`
    case 'Lt':
      return `${key}<${values[0]}`
    default:
      return key
  }
}

/** The selector of a `labelSelector=` parameter. Error: BadRequest, in Kubernetes' words. */
export function parseSelector(text: string): Selector {
  return new SelectorText(text).selector()
}

const OPERATORS = 'in, notin, =, ==, !=, gt, lt'
const SPECIAL = '=!(),><'

/** A reader of selector text, one token ahead. */
class SelectorText {
  readonly #tokens: string[]
  #next = 0

  constructor(text: string) {
    // Operators of two characters first, then single ones, then words.
    this.#tokens = text.match(/==|!=|[=!(),><]|[^=!(),><\s]+/g) ?? []
  }

  selector(): Selector {
    const requirements: Requirement[] = []
    while (this.#peek() !== '') {
      if (!isWord(this.#peek()) && this.#peek() !== '!') {
        throw refusal(`found '${this.#peek()}', expected: !, identifier, or 'end of string'`)
      }
      requirements.push(this.#requirement())
      const end = this.#take()
      if (end === '') return requirements
      if (end !== ',') throw refusal(`found '${end}', expected: ',' or 'end of string'`)
      if (!isWord(this.#peek()) && this.#peek() !== '!') {
        throw refusal(`found '${this.#peek()}', expected: identifier after ','`)
      }
    }
    return requirements
  }

  #requirement(): Requirement {
    const isNegated = this.#peek() === '!'
    if (isNegated) this.#take()
    const key = this.#take()
    if (!isWord(key)) throw inRequirement(`found '${key}', expected: identifier`)
    const wrongKey = labelKeyProblems(key)
    if (wrongKey.length > 0) {
      throw inRequirement(`<nil>: Invalid value: ${JSON.stringify(key)}: ${wrongKey.join('; ')}`)
    }
    if (isNegated) return { key, operator: 'DoesNotExist', values: [] }
    if (this.#peek() === '' || this.#peek() === ',') return { key, operator: 'Exists', values: [] }
    const operator = this.#take()
    switch (operator) {
      case 'in':
        return checked({ key, operator: 'In', values: this.#values() })
      case 'notin':
        return checked({ key, operator: 'NotIn', values: this.#values() })
      case '=':
      case '==':
        return checked({ key, operator: 'In', values: [this.#value()] })
      case '!=':
        return checked({ key, operator: 'NotIn', values: [this.#value()] })
      case '>':
        return checked({ key, operator: 'Gt', values: [this.#value()] })
      case '<':
        return checked({ key, operator: 'Lt', values: [this.#value()] })
      default:
        throw inRequirement(`found '${operator}', expected: ${OPERATORS}`)
    }
  }

  #value(): string {
    if (this.#peek() === '' || this.#peek() === ',') return ''
    const value = this.#take()
    if (!isWord(value)) throw inRequirement(`found '${value}', expected: identifier`)
    return value
  }

  #values(): string[] {
    const open = this.#take()
    if (open !== '(') throw inRequirement(`found '${open}' expected: '('`)
    const values: string[] = []
    while (true) {
      values.push(this.#peek() === ')' ? '' : this.#value())
      const end = this.#take()
      if (end === ')') return [...new Set(values)].sort()
      if (end !== ',') throw inRequirement(`found '${end}', expected: ',' or ')'`)
    }
  }

  #peek(): string {
    return this.#tokens[this.#next] ?? ''
  }

  #take(): string {
    const token = this.#peek()
    this.#next++
    return token
  }
}

function isWord(token: string): boolean {
  return token !== '' && !SPECIAL.includes(token[0] ?? '')
}

function checked(requirement: Requirement): Requirement {
  const { key, operator, values } = requirement
  if ((operator === 'Gt' || operator === 'Lt') && integer(values[0]) === undefined) {
    throw inRequirement(
      `values[0][${key}]: Invalid value: ${JSON.stringify(values[0])}: for 'Gt', 'Lt' operators, the value must be an integer`,
    )
  }
  for (const [index, value] of values.entries()) {
    const wrong = labelValueProblems(value)
    if (wrong.length > 0) {
      throw inRequirement(
        `values[${index}][${key}]: Invalid value: ${JSON.stringify(value)}: ${wrong.join('; ')}`,
      )
    }
  }
  return requirement
}

function refusal(message: string): StatusError {
  return new StatusError('BadRequest', message)
}

function inRequirement(message: string): StatusError {
  return refusal(`unable to parse requirement: ${message}`)
}
