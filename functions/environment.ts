// What the deployed functions must be told, as data: infra/terraform declares the same variables, a
// test compares the two. Each function's variables are read and checked once, before its first call.

/** The deployed functions, by the name of their entry point. */
export const FUNCTIONS = ['api', 'reconcile', 'cloud', 'deploys', 'signals', 'sweep'] as const

export type FunctionName = (typeof FUNCTIONS)[number]

interface Variable {
  /** What it is, for the message when it is missing. */
  what: string
  /** The functions that read it. */
  readBy: readonly FunctionName[]
  pattern: RegExp
  /** Used when it is not set; without it the variable is required. */
  fallback?: string
}

const EVERY = FUNCTIONS
const CALLED_BY_GOOGLE = ['reconcile', 'cloud', 'deploys', 'signals', 'sweep'] as const
const WITH_TIMERS = ['reconcile', 'cloud', 'deploys', 'sweep'] as const

const PROJECT = /^[a-z][a-z0-9-]{4,28}[a-z0-9]$/
const NAME = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/
const URL_BASE = /^https:\/\/[a-z0-9.-]+(:\d+)?$/
const ACCOUNT = /^[a-z0-9-]+@[a-z0-9.-]+\.gserviceaccount\.com$/

/** Every variable that a function of ours reads. */
export const VARIABLES = {
  WHERRY_PROJECT: { what: 'the Google Cloud project', readBy: EVERY, pattern: PROJECT },
  WHERRY_REGION: {
    what: 'the region of the functions, the queue and the load balancers',
    readBy: ['api', ...WITH_TIMERS],
    pattern: NAME,
  },
  WHERRY_DATABASE: {
    what: 'the Firestore database',
    readBy: EVERY,
    pattern: /^(\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9])$/,
    fallback: '(default)',
  },
  WHERRY_API_URL: {
    what: 'https URL of the api function; also the audience of the VMs’ identity tokens',
    readBy: ['api', 'cloud'],
    pattern: URL_BASE,
  },
  WHERRY_OWN_URL: {
    what: 'https URL of this function: the audience of the tokens that Google calls it with',
    readBy: CALLED_BY_GOOGLE,
    pattern: URL_BASE,
  },
  WHERRY_INVOKER: {
    what: 'e-mail of the service account that Google calls this function as',
    readBy: CALLED_BY_GOOGLE,
    pattern: ACCOUNT,
  },
  WHERRY_QUEUE: { what: 'the Cloud Tasks queue', readBy: WITH_TIMERS, pattern: NAME },
  WHERRY_TIMER_ACCOUNT: {
    what: 'e-mail of the service account that timers publish as',
    readBy: WITH_TIMERS,
    pattern: ACCOUNT,
  },
  WHERRY_NETWORK: { what: 'the VPC network of the VMs', readBy: ['cloud'], pattern: NAME },
  WHERRY_SUBNETWORK: { what: 'the subnetwork of the VMs', readBy: ['cloud'], pattern: NAME },
  WHERRY_POD_RANGE: {
    what: 'the subnetwork’s secondary range for pods',
    readBy: ['cloud'],
    pattern: NAME,
  },
  WHERRY_NODE_ACCOUNT: {
    what: 'e-mail of the VMs’ service account',
    readBy: ['cloud'],
    pattern: ACCOUNT,
  },
  WHERRY_AGENT_IMAGE: {
    what: 'image of the node agent, by its digest',
    readBy: ['cloud'],
    pattern: /^[a-z0-9.-]+(\/[a-z0-9._-]+)+@sha256:[0-9a-f]{64}$/,
  },
  WHERRY_HEALTH_CHECK_SECONDS: {
    what: 'how often Google probes a VM',
    readBy: ['cloud'],
    pattern: /^([1-9]|[1-9]\d|[12]\d\d|300)$/,
    fallback: '1',
  },
  WHERRY_GITHUB_URL: {
    what: 'GitHub’s API: another one than github.com’s for GitHub Enterprise Server',
    readBy: ['deploys'],
    pattern: /^https:\/\/[a-z0-9.-]+(:\d+)?(\/[a-z0-9/]+)?$/,
    fallback: 'https://api.github.com',
  },
  WHERRY_GOOGLE_DOUBLE: {
    what: 'for tests: a stand-in for Google’s identity services, on loopback, beside an emulator',
    readBy: EVERY,
    pattern: /^(|http:\/\/127\.0\.0\.1:\d+)$/,
    fallback: '',
  },
} as const satisfies Record<string, Variable>

export type VariableName = keyof typeof VARIABLES

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * The values of the named variables for this function. Error: names every variable that is missing or
 * wrong, never its value.
 */
export function readEnvironment<Name extends VariableName>(
  env: Environment,
  names: readonly Name[],
): Record<Name, string> {
  const problems: string[] = []
  const values = names.map((name): [Name, string] => {
    const { what, pattern, fallback }: Variable = VARIABLES[name]
    const value = env[name] || fallback
    if (value === undefined) problems.push(`${name} is not set (${what})`)
    else if (!pattern.test(value)) problems.push(`${name} is malformed (${what})`)
    return [name, value ?? '']
  })
  // A stand-in for Google's signatures must never be trusted where real data is.
  if (env['WHERRY_GOOGLE_DOUBLE'] && !env['FIRESTORE_EMULATOR_HOST']) {
    problems.push('WHERRY_GOOGLE_DOUBLE is set without FIRESTORE_EMULATOR_HOST: refused')
  }
  if (problems.length > 0)
    throw new Error(`the environment is not complete: ${problems.join('; ')}`)
  return Object.fromEntries(values) as Record<Name, string>
}

/** The variables that a function reads. */
export function variablesOf(name: FunctionName): VariableName[] {
  return (Object.keys(VARIABLES) as VariableName[]).filter((variable) =>
    (VARIABLES[variable].readBy as readonly FunctionName[]).includes(name),
  )
}
