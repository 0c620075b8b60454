// `infra/doctor`: whether a project is ready to be deployed to. Changes nothing; each finding comes
// with the command that mends it.

import { main, type Options, type Result, type Shell } from './shell.ts'

export interface Finding {
  /** What was looked at. */
  name: string
  verdict: 'good' | 'bad' | 'unknown'
  detail: string
  /** What mends it. */
  fix?: string
}

/** What deploying needs: of the person, not of the functions. */
export const NEEDED_PERMISSIONS = [
  'artifactregistry.repositories.create',
  'cloudbuild.builds.create',
  'cloudfunctions.functions.create',
  'cloudscheduler.jobs.create',
  'cloudtasks.queues.create',
  'compute.firewalls.create',
  'compute.networks.create',
  'compute.subnetworks.create',
  'datastore.databases.create',
  'iam.roles.create',
  'iam.serviceAccounts.actAs',
  'iam.serviceAccounts.create',
  'logging.sinks.create',
  'pubsub.subscriptions.create',
  'pubsub.topics.create',
  'resourcemanager.projects.setIamPolicy',
  'run.services.setIamPolicy',
  'serviceusage.services.enable',
  'storage.buckets.create',
]

/** A first cluster of three small VMs with one load balancer. */
export const NEEDED_QUOTAS: Readonly<Record<string, number>> = {
  CPUS: 6,
  INSTANCES: 3,
  IN_USE_ADDRESSES: 4,
  DISKS_TOTAL_GB: 300,
}

const TERRAFORM_OLDEST = [1, 9] as const

type Check = (shell: Shell, options: Options) => Promise<Finding[]>

const CHECKS: Check[] = [
  terraform,
  gcloud,
  login,
  project,
  billing,
  permissions,
  region,
  database,
  sharing,
]

/** Runs all checks, prints each finding, and answers true when none is bad. */
export async function runDoctor(shell: Shell, options: Options): Promise<boolean> {
  const findings: Finding[] = []
  for (const check of CHECKS) {
    const found = await check(shell, options)
    findings.push(...found)
    // Without these nothing else can be asked.
    if (!shell.isDryRun && found.some(({ name, verdict }) => verdict === 'bad' && FIRST.has(name)))
      break
  }
  if (shell.isDryRun) return true
  for (const { name, verdict, detail, fix } of findings) {
    shell.say(`${MARK[verdict]} ${name.padEnd(12)} ${detail}`)
    if (fix && verdict !== 'good') shell.say(`  ${' '.repeat(12)} → ${fix}`)
  }
  return findings.every(({ verdict }) => verdict !== 'bad')
}

const FIRST = new Set(['gcloud', 'login', 'project'])
const MARK = { good: '✓', bad: '✗', unknown: '?' }

async function terraform(shell: Shell): Promise<Finding[]> {
  const name = 'terraform'
  const fix = 'install it: https://developer.hashicorp.com/terraform/install'
  const { code, stdout } = await shell.look(['terraform', 'version', '-json'])
  if (code !== 0) return [{ name, verdict: 'bad', detail: 'is not installed', fix }]
  const version = textOf(jsonOf(stdout), 'terraform_version')
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [oldestMajor, oldestMinor] = TERRAFORM_OLDEST
  const isNew = major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)
  return [{ name, verdict: isNew ? 'good' : 'bad', detail: version, fix }]
}

async function gcloud(shell: Shell): Promise<Finding[]> {
  const { code } = await shell.look(['gcloud', 'version'])
  return [
    {
      name: 'gcloud',
      verdict: code === 0 ? 'good' : 'bad',
      detail: code === 0 ? 'is installed' : 'is not installed',
      fix: 'install it: https://cloud.google.com/sdk/docs/install',
    },
  ]
}

async function login(shell: Shell): Promise<Finding[]> {
  const { stdout } = await shell.look(
    words('gcloud auth list --filter=status:ACTIVE --format=value(account)'),
  )
  const account = stdout.trim()
  return [
    {
      name: 'login',
      verdict: account ? 'good' : 'bad',
      detail: account || 'nobody is logged in',
      fix: 'gcloud auth login',
    },
  ]
}

async function project(shell: Shell, options: Options): Promise<Finding[]> {
  const { project: id } = options
  const answer = await shell.look(words(`gcloud projects describe ${id} --format=json`))
  const state = textOf(jsonOf(answer.stdout), 'lifecycleState')
  return [
    {
      name: 'project',
      verdict: state === 'ACTIVE' ? 'good' : 'bad',
      detail: state || lastLine(answer),
      fix: `gcloud projects create ${id}`,
    },
  ]
}

async function billing(shell: Shell, options: Options): Promise<Finding[]> {
  const answer = await shell.look(
    words(`gcloud billing projects describe ${options.project} --format=value(billingEnabled)`),
  )
  const isOn = answer.stdout.trim() === 'True'
  return [
    {
      name: 'billing',
      verdict: isOn ? 'good' : 'bad',
      detail: isOn ? 'is on' : 'is off: functions and VMs need a billing account',
      fix: `gcloud billing accounts list; gcloud billing projects link ${options.project} --billing-account=ID`,
    },
  ]
}

async function permissions(shell: Shell, options: Options): Promise<Finding[]> {
  const name = 'permissions'
  const { stdout } = await shell.look(words('gcloud auth print-access-token'))
  const answer = await shell.request(
    'POST',
    `https://cloudresourcemanager.googleapis.com/v1/projects/${options.project}:testIamPermissions`,
    stdout.trim(),
    { permissions: NEEDED_PERMISSIONS },
  )
  const granted = fieldOf(answer, 'permissions')
  if (!Array.isArray(granted)) {
    return [{ name, verdict: 'unknown', detail: 'Google does not say' }]
  }
  const missing = NEEDED_PERMISSIONS.filter((permission) => !granted.includes(permission))
  return [
    {
      name,
      verdict: missing.length === 0 ? 'good' : 'bad',
      detail: missing.length === 0 ? 'all there' : `missing: ${missing.join(', ')}`,
      fix: 'ask an owner of the project for roles/owner while you deploy',
    },
  ]
}

async function region(shell: Shell, options: Options): Promise<Finding[]> {
  const { project: id, region: where } = options
  const answer = await shell.look(
    words(`gcloud compute regions describe ${where} --project=${id} --format=json`),
  )
  const found = jsonOf(answer.stdout)
  if (!found) {
    // The API is switched on by the deployment.
    const isOff = /SERVICE_DISABLED|has not been used|not enabled/.test(answer.stderr)
    return [
      {
        name: 'region',
        verdict: isOff ? 'unknown' : 'bad',
        detail: isOff ? 'not known before the Compute API is on' : lastLine(answer),
        fix: isOff
          ? `gcloud services enable compute.googleapis.com --project=${id}`
          : 'gcloud compute regions list',
      },
    ]
  }
  const quotas = fieldOf(found, 'quotas')
  return [
    { name: 'region', verdict: 'good', detail: where },
    ...Object.entries(NEEDED_QUOTAS).map(([metric, needed]) =>
      quota(Array.isArray(quotas) ? quotas : [], metric, needed),
    ),
  ]
}

function quota(quotas: readonly unknown[], metric: string, needed: number): Finding {
  const entry = quotas.find((each) => fieldOf(each, 'metric') === metric)
  const left = Number(fieldOf(entry, 'limit') ?? 0) - Number(fieldOf(entry, 'usage') ?? 0)
  if (entry === undefined)
    return { name: 'quota', verdict: 'unknown', detail: `${metric}: Google does not say` }
  return {
    name: 'quota',
    verdict: left >= needed ? 'good' : 'bad',
    detail: `${metric}: ${left} left, ${needed} needed`,
    fix: 'https://console.cloud.google.com/iam-admin/quotas',
  }
}

async function database(shell: Shell, options: Options): Promise<Finding[]> {
  const name = 'firestore'
  const answer = await shell.look(
    words(`gcloud firestore databases list --project=${options.project} --format=json`),
  )
  const list = jsonOf(answer.stdout)
  if (!Array.isArray(list)) {
    return [{ name, verdict: 'unknown', detail: 'not known before the Firestore API is on' }]
  }
  const present: unknown = list.find((each) =>
    textOf(each, 'name').endsWith(`/databases/${options.database}`),
  )
  if (present === undefined) {
    return [{ name, verdict: 'good', detail: `${options.database} will be made` }]
  }
  const isNative = fieldOf(present, 'type') === 'FIRESTORE_NATIVE'
  const isOurs = isNative && fieldOf(present, 'locationId') === options.region
  return [
    {
      name,
      verdict: isOurs ? 'unknown' : 'bad',
      detail: isOurs
        ? `${options.database} is there already: good if an earlier deployment made it`
        : `${options.database} is there already, of another kind or in another region`,
      fix: 'deploy with --database=wherry (it has no free tier), or into a project of its own',
    },
  ]
}

/** kubectl has no way to log in at Google's front door: the api function must be open. */
async function sharing(shell: Shell, options: Options): Promise<Finding[]> {
  const name = 'sharing'
  const constraint = 'iam.allowedPolicyMemberDomains'
  const answer = await shell.look(
    words(
      `gcloud resource-manager org-policies describe ${constraint} --project=${options.project} --effective --format=json`,
    ),
  )
  const policy = jsonOf(answer.stdout)
  if (policy === undefined)
    return [{ name, verdict: 'unknown', detail: 'no organization policy is to be seen' }]
  const allowed = fieldOf(fieldOf(policy, 'listPolicy'), 'allowedValues')
  const isClosed = Array.isArray(allowed) && allowed.length > 0
  return [
    {
      name,
      verdict: isClosed ? 'bad' : 'good',
      detail: isClosed ? `${constraint} forbids a function that is open to everybody` : 'allowed',
      fix: `an organization administrator must exempt the project from ${constraint}`,
    },
  ]
}

function words(command: string): string[] {
  return command.split(' ')
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.entries(value).find(([key]) => key === name)?.[1]
    : undefined
}

function textOf(value: unknown, name: string): string {
  const text = fieldOf(value, name)
  return typeof text === 'string' ? text : ''
}

function lastLine({ stderr, code }: Result): string {
  return stderr.trim().split('\n').at(-1) || `no answer (exit code ${code})`
}

if (import.meta.main) {
  await main('doctor', async (shell, options) => {
    if (!(await runDoctor(shell, options))) process.exitCode = 1
  })
}
