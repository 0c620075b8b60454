// The rules for names, labels and keys, and the texts in which Kubernetes refuses what breaks them
// (apimachinery's util/validation): each function answers what is wrong, [] when nothing.

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const LABEL_TEXT =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character"
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`
const SUBDOMAIN_TEXT =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
const WILDCARD = `\\*\\.${SUBDOMAIN}`
const WILDCARD_TEXT =
  "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character"
const LABEL_1035 = '[a-z]([-a-z0-9]*[a-z0-9])?'
const LABEL_1035_TEXT =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character"
const QUALIFIED = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'
const QUALIFIED_TEXT =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
const LABEL_VALUE = `(${QUALIFIED})?`
const LABEL_VALUE_TEXT =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
const CONFIG_KEY = '[-._a-zA-Z0-9]+'
const CONFIG_KEY_TEXT =
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
const ENV_NAME_TEXT =
  "a valid environment variable name must consist only of printable ASCII characters other than '='"
const PORT_NAME = '[-a-z0-9]+'

const compiled = new Map<string, RegExp>()

function fits(text: string, pattern: string): boolean {
  let expression = compiled.get(pattern)
  if (!expression) {
    expression = new RegExp(`^${pattern}$`)
    compiled.set(pattern, expression)
  }
  return expression.test(text)
}

/** `… (e.g. 'a',  or 'b', regex used for validation is '…')`, with the two blanks of the original. */
function explained(text: string, pattern: string, ...examples: string[]): string {
  const shown = examples.map((example) => `'${example}', `).join(' or ')
  return `${text} (e.g. ${shown}regex used for validation is '${pattern}')`
}

/** `must be no more than 63 bytes`, apimachinery's MaxLenError. */
export function maxLengthText(length: number): string {
  return `must be no more than ${length} bytes`
}

/** Names that become one DNS label: namespaces, container names, port names of Services. */
export function dnsLabelProblems(text: string): string[] {
  return [
    ...(text.length > 63 ? [maxLengthText(63)] : []),
    ...(fits(text, LABEL) ? [] : [explained(LABEL_TEXT, LABEL, 'my-name', '123-abc')]),
  ]
}

/** Names of most objects. */
export function dnsSubdomainProblems(text: string): string[] {
  return [
    ...(text.length > 253 ? [maxLengthText(253)] : []),
    ...(fits(text, SUBDOMAIN) ? [] : [explained(SUBDOMAIN_TEXT, SUBDOMAIN, 'example.com')]),
  ]
}

/** Hosts like `*.example.com`. */
export function wildcardSubdomainProblems(text: string): string[] {
  return [
    ...(text.length > 253 ? [maxLengthText(253)] : []),
    ...(fits(text, WILDCARD) ? [] : [explained(WILDCARD_TEXT, WILDCARD, '*.example.com')]),
  ]
}

/** Names of Services. */
export function dns1035LabelProblems(text: string): string[] {
  return [
    ...(text.length > 63 ? [maxLengthText(63)] : []),
    ...(fits(text, LABEL_1035)
      ? []
      : [explained(LABEL_1035_TEXT, LABEL_1035, 'my-name', 'abc-123')]),
  ]
}

/** Label keys, annotation keys, resource names, finalizers: `[prefix/]name`. */
export function labelKeyProblems(key: string): string[] {
  const parts = key.split('/')
  const example = explained(QUALIFIED_TEXT, QUALIFIED, 'MyName', 'my.name', '123-abc')
  if (parts.length > 2) {
    return [
      `a qualified name ${explained(QUALIFIED_TEXT, QUALIFIED, 'MyName', 'my.name', '123-abc')} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ]
  }
  const name = parts.at(-1) ?? ''
  const problems: string[] = []
  if (parts.length === 2) {
    const prefix = parts[0] ?? ''
    if (prefix === '') problems.push('prefix part must be non-empty')
    else problems.push(...dnsSubdomainProblems(prefix).map((each) => `prefix part ${each}`))
  }
  if (name === '') problems.push('name part must be non-empty')
  else if (name.length > 63) problems.push(`name part ${maxLengthText(63)}`)
  if (!fits(name, QUALIFIED)) problems.push(`name part ${example}`)
  return problems
}

export function labelValueProblems(value: string): string[] {
  return [
    ...(value.length > 63 ? [maxLengthText(63)] : []),
    ...(fits(value, LABEL_VALUE)
      ? []
      : [explained(LABEL_VALUE_TEXT, LABEL_VALUE, 'MyValue', 'my_value', '12345')]),
  ]
}

/** Keys of ConfigMaps and Secrets. */
export function configKeyProblems(key: string): string[] {
  const problems = key.length > 253 ? [maxLengthText(253)] : []
  if (!fits(key, CONFIG_KEY)) {
    problems.push(explained(CONFIG_KEY_TEXT, CONFIG_KEY, 'key.name', 'KEY_NAME', 'key-name'))
  }
  if (key === '.') problems.push("must not be '.'")
  else if (key === '..') problems.push("must not be '..'")
  else if (key.startsWith('..')) problems.push("must not start with '..'")
  return problems
}

/** Names of environment variables (since 1.34: any printable ASCII but `=`). */
export function envNameProblems(name: string): string[] {
  return /^[ -<>-~]+$/.test(name) ? [] : [ENV_NAME_TEXT]
}

/** Names of container ports (IANA_SVC_NAME). */
export function portNameProblems(name: string): string[] {
  const problems: string[] = []
  if (name.length > 15) problems.push(maxLengthText(15))
  if (!fits(name, PORT_NAME)) {
    problems.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)')
  }
  if (!/[a-z]/.test(name)) problems.push('must contain at least one letter (a-z)')
  if (name.includes('--')) problems.push('must not contain consecutive hyphens')
  if (name.startsWith('-') || name.endsWith('-')) {
    problems.push('must not begin or end with a hyphen')
  }
  return problems
}

/** A number that can be a port, or what is wrong with it. */
export function portProblems(port: unknown): string[] {
  return typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65_535
    ? []
    : ['must be between 1 and 65535, inclusive']
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$/

/** True for a dotted IPv4 address. */
export function isIpv4(text: string): boolean {
  return IPV4.test(text)
}

/** True for an IPv4 or (by its shape) an IPv6 address. */
export function isIp(text: string): boolean {
  if (isIpv4(text)) return true
  if (!/^[0-9a-fA-F:]+$/.test(text) || !text.includes(':')) return false
  const groups = text.split(':')
  const hasGap = text.includes('::')
  return (
    text.split('::').length <= 2 &&
    groups.every((group) => group.length <= 4) &&
    (hasGap ? groups.length <= 8 : groups.length === 8 && groups.every((group) => group !== ''))
  )
}

/** What Kubernetes says of a text that is no address. */
export const NOT_AN_IP = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'
