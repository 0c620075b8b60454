// Finds fields that stand twice in one JSON object: JSON.parse keeps the last and says nothing,
// Kubernetes' strict field validation refuses them.

/** `duplicate field "spec.replicas"`, once a field. The text must be valid JSON. */
export function duplicateFields(text: string): string[] {
  const found = new Set<string>()
  let at = 0

  const skipSpace = (): void => {
    while (at < text.length && ' \t\r\n'.includes(text.charAt(at))) at++
  }
  const skipString = (): string => {
    const start = at++
    while (text.charAt(at) !== '"') at += text.charAt(at) === '\\' ? 2 : 1
    return text.slice(start, ++at)
  }

  // Objects and lists that are open, innermost last: no recursion, whatever the depth.
  const open: { path: string; names?: Set<string>; index: number }[] = []
  let path = ''
  while (at < text.length) {
    skipSpace()
    const character = text.charAt(at)
    const inside = open.at(-1)
    if (character === '{') open.push({ path, names: new Set(), index: 0 })
    else if (character === '[') {
      open.push({ path, index: 0 })
      path = `${path}[0]`
    } else if (character === '}' || character === ']') open.pop()
    else if (character === ',' && inside && !inside.names)
      path = `${inside.path}[${++inside.index}]`
    else if (character === '"') {
      const literal = skipString()
      skipSpace()
      if (inside?.names && text.charAt(at) === ':') {
        const name = String(JSON.parse(literal))
        path = inside.path ? `${inside.path}.${name}` : name
        if (inside.names.has(name)) found.add(`duplicate field "${path}"`)
        inside.names.add(name)
        at++
      }
      continue
    }
    at++
  }
  return [...found]
}
