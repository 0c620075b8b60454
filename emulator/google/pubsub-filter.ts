// Pub/Sub's filter language (cloud.google.com/pubsub/docs/subscription-message-filter): attributes
// only, with =, !=, `:` (has), hasPrefix(), NOT, AND, OR and brackets.

type Attributes = Readonly<Record<string, string>>

export type Filter = (attributes: Attributes) => boolean

const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*")|(!=|[=:().,-])|([A-Za-z_]\w*))/y

interface Token {
  kind: 'text' | 'sign' | 'word' | 'end'
  text: string
}

/** Reads a filter; an empty one lets everything through. Throws an Error that says what is wrong. */
export function parseFilter(source: string): Filter {
  const tokens = tokenize(source)
  if (tokens[0]?.kind === 'end') return () => true
  const reader = createReader(tokens)
  const filter = parseOr(reader)
  reader.expect('end', '')
  return filter
}

function tokenize(source: string): Token[] {
  const tokens: Token[] = []
  const text = source.trimEnd()
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex
    const match = TOKEN.exec(text)
    if (!match) throw new Error(`Invalid filter at "${text.slice(at).trim()}"`)
    const [, quoted, sign, word] = match
    if (quoted !== undefined) {
      tokens.push({ kind: 'text', text: quoted.slice(1, -1).replace(/\\(.)/g, '$1') })
    } else if (sign !== undefined) tokens.push({ kind: 'sign', text: sign })
    else tokens.push({ kind: 'word', text: word ?? '' })
  }
  return [...tokens, { kind: 'end', text: '' }]
}

interface Reader {
  /** Takes the next token when it is this one. */
  accept(kind: Token['kind'], text: string): boolean
  /** Takes the next token, which must be this one. */
  expect(kind: Token['kind'], text: string): void
  /** Takes the next token, which must be of one of these kinds. */
  take(...kinds: Token['kind'][]): string
}

function createReader(tokens: Token[]): Reader {
  let at = 0
  const peek = (): Token => tokens[at] ?? { kind: 'end', text: '' }
  const wrong = (): Error =>
    new Error(`Invalid filter: unexpected ${peek().kind === 'end' ? 'end' : `"${peek().text}"`}`)
  const accept: Reader['accept'] = (kind, text) => {
    if (peek().kind !== kind || peek().text !== text) return false
    at++
    return true
  }
  return {
    accept,
    expect(kind, text) {
      if (!accept(kind, text)) throw wrong()
    },
    take(...kinds) {
      if (!kinds.includes(peek().kind)) throw wrong()
      const { text } = peek()
      at++
      return text
    },
  }
}

function parseOr(reader: Reader): Filter {
  const parts = [parseAnd(reader)]
  while (reader.accept('word', 'OR')) parts.push(parseAnd(reader))
  return (attributes) => parts.some((part) => part(attributes))
}

function parseAnd(reader: Reader): Filter {
  const parts = [parseTerm(reader)]
  while (reader.accept('word', 'AND')) parts.push(parseTerm(reader))
  return (attributes) => parts.every((part) => part(attributes))
}

function parseTerm(reader: Reader): Filter {
  if (reader.accept('word', 'NOT') || reader.accept('sign', '-')) {
    const term = parseTerm(reader)
    return (attributes) => !term(attributes)
  }
  if (reader.accept('sign', '(')) {
    const inner = parseOr(reader)
    reader.expect('sign', ')')
    return inner
  }
  if (reader.accept('word', 'hasPrefix')) return parsePrefix(reader)
  reader.expect('word', 'attributes')
  if (reader.accept('sign', ':')) {
    const name = reader.take('word', 'text')
    return (attributes) => attributes[name] !== undefined
  }
  reader.expect('sign', '.')
  const name = reader.take('word', 'text')
  const isNot = reader.accept('sign', '!=')
  if (!isNot) reader.expect('sign', '=')
  const value = reader.take('text')
  return (attributes) => (attributes[name] === value) !== isNot
}

function parsePrefix(reader: Reader): Filter {
  reader.expect('sign', '(')
  reader.expect('word', 'attributes')
  reader.expect('sign', '.')
  const name = reader.take('word', 'text')
  reader.expect('sign', ',')
  const prefix = reader.take('text')
  reader.expect('sign', ')')
  return (attributes) => attributes[name]?.startsWith(prefix) === true
}
