// What Terraform declares against what the code expects, without a cloud: names, entry points,
// variables, roles, indexes; and what must never be declared.

import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseHcl } from './hcl.ts'
import { beforeAll, describe, expect, it } from 'vitest'
import * as index from '#functions/index.ts'
import { AGENT_REPOSITORY } from './agent-bundle.ts'
import { FUNCTIONS, VARIABLES, variablesOf } from '#functions/environment.ts'
import { TOPICS } from '#shared/ports/bus.ts'
import { AGENT_PORT } from '#shared/api/agent-wire.ts'
import {
  COMPUTE_CALLS,
  computePermissions,
  NODE_PERMISSIONS,
  PROJECT_ROLES,
  PUBLISHES,
  SETS_TIMERS,
  SWEEP_PERMISSIONS,
} from './roles.ts'

const ROOT = join(import.meta.dirname, '..')
const FILES = globSync('infra/terraform/**/*.tf', { cwd: ROOT }).sort()

type Block = Record<string, unknown>
interface Resource {
  file: string
  type: string
  name: string
  body: Block
}

const resources: Resource[] = []
const locals = new Map<string, unknown>()

function blocksOf(value: unknown): Block[] {
  return Array.isArray(value) ? (value as Block[]) : []
}

beforeAll(async () => {
  for (const file of FILES) {
    const parsed: Block = await parseHcl(file, readFileSync(join(ROOT, file), 'utf8'))
    for (const block of blocksOf(parsed['locals']))
      for (const [name, value] of Object.entries(block)) locals.set(`${file} ${name}`, value)
    for (const [type, named] of Object.entries((parsed['resource'] ?? {}) as Block))
      for (const [name, bodies] of Object.entries(named as Block))
        for (const body of blocksOf(bodies)) resources.push({ file, type, name, body })
  }
})

function of(type: string): Resource[] {
  return resources.filter((resource) => resource.type === type)
}

function one(type: string, name = 'this'): Block {
  const [found, ...more] = of(type).filter((resource) => resource.name === name)
  if (!found || more.length > 0) throw new Error(`${more.length + (found ? 1 : 0)} ${type}.${name}`)
  return found.body
}

function local(path: string, name: string): unknown {
  const value = locals.get(`infra/terraform/${path} ${name}`)
  if (value === undefined) throw new Error(`${path} has no local ${name}`)
  return value
}

/** The first block of this name inside. */
function inner(block: Block | undefined, ...names: string[]): Block {
  let at = block
  for (const name of names) at = blocksOf(at?.[name])[0]
  if (!at) throw new Error(`there is no ${names.join('.')}`)
  return at
}

describe('what the code expects is declared', () => {
  it('a function for each entry point of functions/index.ts', () => {
    const { upgrade: _, ...entries } = index
    expect(Object.keys(entries).sort()).toEqual([...FUNCTIONS].sort())
    expect(local('main.tf', 'functions')).toEqual([...FUNCTIONS])
    const settings = local('modules/functions/main.tf', 'settings') as Block
    expect(Object.keys(settings).sort()).toEqual([...FUNCTIONS].sort())
    const build = inner(one('google_cloudfunctions2_function'), 'build_config')
    expect(build).toMatchObject({ entry_point: '${each.key}', runtime: 'nodejs24' })
  })

  it('the variables that each function reads, and no others', () => {
    const environment = local('main.tf', 'environment') as Record<string, Block>
    expect(Object.keys(environment).sort()).toEqual([...FUNCTIONS].sort())
    for (const name of FUNCTIONS) {
      const wanted = variablesOf(name).filter((variable) => variable !== 'WHERRY_GOOGLE_DOUBLE')
      expect(Object.keys(environment[name] ?? {}).sort(), name).toEqual(wanted.sort())
    }
    const service = inner(one('google_cloudfunctions2_function'), 'service_config')
    expect(service['environment_variables']).toBe('${var.environment[each.key]}')
    expect(Object.keys(VARIABLES)).toContain('WHERRY_GOOGLE_DOUBLE')
  })

  it('every variable that index.ts asks for is one that its function is given', () => {
    const text = readFileSync(join(ROOT, 'functions/index.ts'), 'utf8')
    const asked = new Set([...text.matchAll(/'(WHERRY_\w+)'/g)].map(([, name]) => String(name)))
    expect([...asked].sort()).toEqual(Object.keys(VARIABLES).sort())
  })

  it('the topics', () => {
    expect(local('modules/messaging/main.tf', 'topics')).toEqual(Object.values(TOPICS))
  })

  it('a subscription for each function that Pub/Sub calls, in order where keys are used', () => {
    const subscriptions = local('modules/messaging/main.tf', 'subscriptions')
    expect(subscriptions).toMatchObject({
      reconcile: { topic: TOPICS.changes, is_ordered: true },
      cloud: { topic: TOPICS.cloud, is_ordered: true },
      deploys: { topic: TOPICS.deploys, is_ordered: true },
      signals: { topic: TOPICS.signals, is_ordered: false },
    })
    const push = inner(one('google_pubsub_subscription', 'push'), 'push_config')
    expect(push['push_endpoint']).toBe('${var.urls[each.key]}')
    // The token is for the function that it is sent to: what the function checks.
    expect(inner(push, 'oidc_token')).toEqual({
      service_account_email: '${var.accounts["invoker"]}',
      audience: '${var.urls[each.key]}',
    })
  })

  it('a function has as long as its subscription waits, and not longer', () => {
    const settings = local('modules/functions/main.tf', 'settings') as Record<string, Block>
    const subscriptions = local('modules/messaging/main.tf', 'subscriptions') as Record<
      string,
      Block
    >
    for (const [name, { ack_seconds: seconds }] of Object.entries(subscriptions)) {
      expect(Number(settings[name]?.['seconds']), name).toBeLessThanOrEqual(Number(seconds))
    }
  })

  it('the minute’s tick, with a token for the sweep function', () => {
    const job = one('google_cloud_scheduler_job', 'sweep')
    expect(job['schedule']).toBe('* * * * *')
    expect(inner(job, 'http_target')).toMatchObject({ uri: '${var.url}', http_method: 'POST' })
    expect(inner(job, 'http_target', 'oidc_token')).toEqual({
      service_account_email: '${var.invoker}',
      audience: '${var.url}',
    })
  })

  it('Firestore’s indexes, from the file that is compared with the queries', () => {
    const text = readFileSync(join(ROOT, 'infra/terraform/main.tf'), 'utf8')
    expect(text).toContain('"${path.root}/../../firestore.indexes.json"')
    expect(local('modules/database/main.tf', 'file')).toBe('${jsondecode(file(var.indexes_file))}')
    expect(one('google_firestore_index')['for_each']).toBe('${local.indexes}')
    expect(one('google_firestore_field')['for_each']).toBe('${local.fields}')
    const file = JSON.parse(readFileSync(join(ROOT, 'firestore.indexes.json'), 'utf8'))
    expect(Object.keys(file).sort()).toEqual(['fieldOverrides', 'indexes'])
    // What the module reads of each; a new word in the file would be lost.
    for (const each of file.indexes)
      expect(Object.keys(each).sort()).toEqual(['collectionGroup', 'fields', 'queryScope'])
    for (const each of file.fieldOverrides)
      expect(Object.keys(each).sort()).toEqual(['collectionGroup', 'fieldPath', 'indexes'])
  })

  it('a log sink for the entries that the signals function reads', () => {
    const source = readFileSync(join(ROOT, 'functions/signals/log-entry.ts'), 'utf8')
    const named = [...source.matchAll(/'((?:v1\.)?compute\.instances\.[\w.]+)'/g)]
    const read = [...new Set(named.map(([, name]) => name))]
    expect(read.length).toBeGreaterThan(10)
    expect(local('modules/signals/main.tf', 'methods')).toEqual(read)
    const filter = String(local('modules/signals/main.tf', 'filter'))
    for (const part of [
      '%2Fhealthchecks',
      'instanceHealthStateChange',
      '%2Fsystem_event',
      '%2Factivity',
    ])
      expect(filter).toContain(part)
    expect(one('google_logging_project_sink')['unique_writer_identity']).toBe(true)
    expect(one('google_pubsub_topic_iam_member', 'sink_publishes')['member']).toContain(
      'writer_identity',
    )
  })

  it('VMs may fetch their agent’s image and people’s images, and push none', () => {
    const members = of('google_artifact_registry_repository_iam_member')
    expect(members.map(({ body }) => [body['repository'], body['role'], body['member']])).toEqual(
      ['${google_artifact_registry_repository.images.name}', AGENT_REPOSITORY].map((repository) => [
        repository,
        'roles/artifactregistry.reader',
        'serviceAccount:${var.node_account}',
      ]),
    )
  })

  it('pods’ addresses come from the range that templates name, and all VMs may talk to each other', () => {
    const nodes = one('google_compute_subnetwork', 'nodes')
    expect(inner(nodes, 'secondary_ip_range')).toMatchObject({ ip_cidr_range: '${var.pod_range}' })
    const environment = local('main.tf', 'environment') as Record<string, Block>
    expect(environment['cloud']?.['WHERRY_POD_RANGE']).toBe('${module.network.pod_range_name}')
    expect(one('google_compute_firewall', 'internal')['source_ranges']).toEqual([
      '${var.node_range}',
      '${var.pod_range}',
    ])
  })

  it('the network lets health checkers and the api reach agents, and nobody else', () => {
    expect(local('modules/network/main.tf', 'agent_port')).toBe(String(AGENT_PORT))
    const checkers = local('modules/network/main.tf', 'health_checkers')
    expect(checkers).toEqual([
      '35.191.0.0/16',
      '130.211.0.0/22',
      '209.85.152.0/22',
      '209.85.204.0/22',
    ])
    const never = one('google_compute_firewall', 'never')
    expect(inner(never, 'deny')['ports']).toEqual(['22', '${local.agent_port}'])
    // The rules of load balancers come before it: functions/adapters/compute-firewalls.ts.
    expect(never['priority']).toBe(1000)
    const source = readFileSync(join(ROOT, 'functions/index.ts'), 'utf8')
    expect(source).toContain(`tags: ['${String(local('modules/network/main.tf', 'node_tag'))}']`)
  })
})

describe('everybody may do what he needs, and no more', () => {
  const ACCOUNTS = 'modules/accounts/main.tf'

  it('each function has an account of its own', () => {
    const accounts = Object.keys(local(ACCOUNTS, 'accounts') as Block)
    expect(accounts.sort()).toEqual([...FUNCTIONS, 'nodes', 'invoker', 'timers', 'build'].sort())
    const service = inner(one('google_cloudfunctions2_function'), 'service_config')
    expect(service['service_account_email']).toBe('${var.accounts[each.key]}')
  })

  it('has the project roles of the table', () => {
    expect(local(ACCOUNTS, 'project_roles')).toEqual(PROJECT_ROLES)
    expect(one('google_project_iam_custom_role', 'node')['permissions']).toEqual(NODE_PERMISSIONS)
  })

  it('publishes and sets timers as the table says', () => {
    expect(local('main.tf', 'publishes')).toEqual(PUBLISHES)
    expect(local('main.tf', 'with_timers')).toEqual([...SETS_TIMERS])
    expect(one('google_service_account_iam_member', 'uses_timers')['for_each']).toBe(
      `\${toset(${JSON.stringify([...SETS_TIMERS]).replaceAll(',', ', ')})}`,
    )
  })

  it('may make the calls to Compute Engine that the adapters make, and no others', () => {
    const calls = new Set<string>()
    for (const file of globSync('functions/adapters/*{compute,http}*.ts', { cwd: ROOT })) {
      if (file.endsWith('.test.ts')) continue
      for (const call of callsIn(readFileSync(join(ROOT, file), 'utf8'))) calls.add(call)
    }
    expect([...calls].sort()).toEqual(Object.keys(COMPUTE_CALLS))
    expect(local('modules/accounts/machines.tf', 'machine_permissions')).toEqual(
      computePermissions(),
    )
  })

  it('the sweep sees VMs, and changes none', () => {
    const role = one('google_project_iam_custom_role', 'machine_reader')
    expect(role['permissions']).toEqual(SWEEP_PERMISSIONS)
    expect(one('google_project_iam_member', 'machine_reader')['member']).toBe(
      '${google_service_account.this["sweep"].member}',
    )
  })

  it('is never owner, editor or anything as broad', () => {
    const broad = /roles\/(owner|editor|viewer|.*\.admin|iam\.securityAdmin)"/
    for (const file of FILES)
      expect(readFileSync(join(ROOT, file), 'utf8'), file).not.toMatch(broad)
    for (const { type } of resources) expect(type).not.toMatch(/_iam_(binding|policy)$/)
  })

  it('nobody unknown may do anything but call the api function', () => {
    const open = resources.filter(({ body }) =>
      /allUsers|allAuthenticatedUsers/.test(JSON.stringify(body)),
    )
    expect(open.map(({ type, name }) => `${type}.${name}`)).toEqual([
      'google_cloud_run_v2_service_iam_member.public_api',
    ])
    expect(open[0]?.body['role']).toBe('roles/run.invoker')
    const closed = one('google_cloud_run_v2_service_iam_member', 'invoker')
    expect(closed['for_each']).toBe(
      '${toset(["reconcile", "cloud", "deploys", "signals", "sweep"])}',
    )
    const { ingress_settings } = inner(one('google_cloudfunctions2_function'), 'service_config')
    expect(ingress_settings).toContain('ALLOW_INTERNAL_ONLY')
  })

  it('no key of a service account exists', () => {
    expect(of('google_service_account_key')).toEqual([])
  })
})

describe('nothing is lost and nothing is left behind', () => {
  it('no bucket is public', () => {
    for (const { body } of of('google_storage_bucket')) {
      expect(body).toMatchObject({
        uniform_bucket_level_access: true,
        public_access_prevention: 'enforced',
      })
    }
  })

  it('no subscription expires, and what cannot be delivered is kept', () => {
    const subscriptions = of('google_pubsub_subscription')
    expect(subscriptions.map(({ name }) => name).sort()).toEqual(['dead_letters', 'push'])
    for (const { name, body } of subscriptions) {
      expect(inner(body, 'expiration_policy')['ttl'], name).toBe('')
      if (name === 'dead_letters') continue
      expect(inner(body, 'dead_letter_policy')['dead_letter_topic'], name).toContain('dead_letters')
      expect(inner(body, 'retry_policy'), name).toBeDefined()
    }
    expect(one('google_pubsub_topic_iam_member', 'agent_buries')['role']).toBe(
      'roles/pubsub.publisher',
    )
    expect(one('google_pubsub_subscription_iam_member', 'agent_forwards')['for_each']).toBe(
      '${google_pubsub_subscription.push}',
    )
  })

  it('the database goes with the rest', () => {
    expect(one('google_firestore_database')['deletion_policy']).toBe('DELETE')
  })

  it('every provider is pinned to a major version, every module’s variables are described or plain', () => {
    const text = readFileSync(join(ROOT, 'infra/terraform/versions.tf'), 'utf8')
    expect(text.match(/version = "~> \d+\.\d+"/g)).toHaveLength(2)
  })
})

const terraform = spawnSync('terraform', ['version'], { encoding: 'utf8' })

describe.skipIf(terraform.status !== 0)('terraform itself', () => {
  it('finds every file well formatted', () => {
    const { stdout, status } = spawnSync(
      'terraform',
      ['fmt', '-check', '-recursive', '-no-color', 'infra/terraform'],
      { cwd: ROOT, encoding: 'utf8' },
    )
    expect(stdout).toBe('')
    expect(status).toBe(0)
  })
})

/** `groups.insert` for every call of a client, whatever the variable that holds it. */
function callsIn(source: string): string[] {
  const calls: string[] = []
  for (const [, client, method] of source.matchAll(/\(await clients\.(\w+)\(\)\)\.(\w+)\(/g))
    calls.push(`${client}.${method}`)
  for (const [, variable, client] of source.matchAll(/const (\w+) = await clients\.(\w+)\(\)/g))
    for (const [, method] of source.matchAll(new RegExp(`\\b${variable}\\.(\\w+)\\(`, 'g')))
      calls.push(`${client}.${method}`)
  // Lists may go by the same name as a client.
  return calls.filter((call) => !/\.(flatMap|map|filter|find|some|toSorted)$/.test(call))
}
