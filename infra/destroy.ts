// `infra/destroy`: removes Wherry from a project: clusters first (their VMs and load balancers are not
// Terraform's), then everything else, then a look at every kind of thing that could have stayed.

import { FUNCTIONS } from '#functions/environment.ts'
import { AGENT_REPOSITORY } from './agent-bundle.ts'
import { bundle, ROOT } from './bundle.ts'
import { InfraError, main, quote, type Options, type Shell } from './shell.ts'
import { initTerraform, PLAN, stateBucket, terraform, token, variables } from './terraform.ts'

const CLUSTERS_ATTEMPTS = 120
const PAUSE_MS = 5000

/** Lists everything that Wherry makes in a project, by its names; each must print nothing. */
export function leftovers({ project, region, database }: Options): string[][] {
  const list = (command: string, filter: string, format = 'value(name)'): string[] => [
    'gcloud',
    ...command.split(' '),
    'list',
    `--project=${project}`,
    `--filter=${filter}`,
    `--format=${format}`,
  ]
  const ours = 'name~^wherry'
  const gke = 'name~^gke-.*-[0-9a-f]{8}'
  const balancer = 'name~^a[0-9a-f]{31}$'
  return [
    ...machines({ project }),
    list('compute addresses', balancer),
    list('compute health-checks', `${gke} OR ${balancer}`),
    list('compute firewall-rules', `${ours} OR ${DOORS}`),
    list('compute networks subnets', ours),
    list('compute networks', ours),
    list('functions', 'name~/wherry-'),
    list('pubsub topics', 'name~/wherry-'),
    list('pubsub subscriptions', 'name~/wherry-'),
    [...list('scheduler jobs', 'name~/wherry-'), `--location=${region}`],
    [...list('tasks queues', 'name~/wherry$'), `--location=${region}`],
    list('logging sinks', ours),
    [...list('artifacts repositories', 'name~/wherry'), `--location=${region}`],
    list('iam service-accounts', 'email~^wherry-', 'value(email)'),
    list('iam roles', 'name~/wherry'),
    list('storage buckets', 'name~-wherry-(functions|state)$'),
    list('firestore databases', `name~/databases/${database.replaceAll(/[()]/g, '.')}$`),
  ]
}

/** Firewall rules of load balancers. */
const DOORS = 'name~^k8s-fw-a[0-9a-f]{31}$'

/** VMs and what belongs to them: they must be gone before their network can go. */
function machines({ project }: Pick<Options, 'project'>): string[][] {
  const list = (what: string, filter: string): string[] =>
    words(`gcloud compute ${what} list --project=${project} --format=value(name)`).concat(
      `--filter=${filter}`,
    )
  return [
    list('instances', 'labels.wherry-cluster:*'),
    list('instance-groups', 'name~^gke-.*-grp$'),
    list('instance-templates', 'name~^gke-.*-grp-'),
    list('disks', 'labels.wherry-cluster:* OR name~^gke-.*-[0-9a-f]{8}-'),
    list('forwarding-rules', 'name~^a[0-9a-f]{31}$'),
    list('backend-services', 'name~^a[0-9a-f]{31}$'),
    list('firewall-rules', DOORS),
  ]
}

export async function destroy(shell: Shell, options: Options): Promise<void> {
  const { project, isSure } = options
  shell.say('# 1. What would go')
  // The archives of the bundles are part of what Terraform knows.
  if (shell.isDryRun) shell.say('+ npm run build')
  else for (const name of FUNCTIONS) await bundle(name)
  const env = await initTerraform(shell, options)
  // Terraform wants to know it, for what it takes away.
  const image = `-var=agent_image=gone@sha256:${'0'.repeat(64)}`
  const more = [...variables(options), '-var=is_database_protected=false', image]
  await shell.change([...terraform('plan'), '-destroy', `-out=${PLAN}`, ...more], env)
  const url = await apiUrl(shell)
  const clusters = await listClusters(shell, url, options)
  shell.say(`Clusters: ${clusters.map(({ name }) => name).join(', ') || 'none'}`)
  if (
    !isSure &&
    !(await shell.confirm(`Remove all of this from ${project}, with all data?`, project))
  )
    throw new InfraError('not confirmed: nothing was removed')
  shell.say('# 2. Clusters: their VMs, disks and load balancers')
  await deleteClusters(shell, url, options)
  await mustBeGone(shell, machines(options))
  shell.say('# 3. What VMs have made for themselves')
  await deleteNodeSubscriptions(shell, options)
  shell.say('# 4. Everything else')
  await shell.change([...terraform('apply'), PLAN], await initTerraform(shell, options))
  await removeAgentImages(shell, options)
  await shell.change(words(`gcloud storage rm gs://${stateBucket(project)} --recursive`))
  shell.say('# 5. Is anything left?')
  await mustBeGone(shell, leftovers(options))
  if (!shell.isDryRun) shell.say(`Nothing of Wherry is left in ${project}. Its APIs stay on.`)
}

interface ClusterName {
  name: string
  location: string
}

async function apiUrl(shell: Shell): Promise<string> {
  const { stdout } = await shell.look([...terraform('output'), '-raw', 'api_url'])
  return shell.isDryRun ? '<api_url>' : stdout.trim()
}

/** Error: the api function gave no answer, so nobody knows. */
async function listClusters(
  shell: Shell,
  url: string,
  { project }: Options,
): Promise<ClusterName[]> {
  if (!shell.isDryRun && !url.startsWith('https://')) return []
  const all = `${url}/v1/projects/${project}/locations/-/clusters`
  const answer = await shell.request('GET', all, await token(shell))
  if (shell.isDryRun) return [{ name: '<each>', location: '<each>' }]
  if (typeof answer !== 'object' || answer === null) {
    throw new InfraError(`${all} does not say which clusters there are; nothing was removed`)
  }
  const clusters: unknown = 'clusters' in answer ? answer.clusters : []
  return Array.isArray(clusters) ? clusters : []
}

async function deleteClusters(shell: Shell, url: string, options: Options): Promise<void> {
  for (let attempt = 1; attempt <= CLUSTERS_ATTEMPTS; attempt++) {
    const clusters = await listClusters(shell, url, options)
    if (clusters.length === 0) return
    for (const { name, location } of clusters) {
      const one = `${url}/v1/projects/${options.project}/locations/${location}/clusters/${name}`
      await shell.request('DELETE', one, await token(shell))
    }
    if (shell.isDryRun) return
    shell.say(`still there: ${clusters.map(({ name }) => name).join(', ')}`)
    await shell.sleep(PAUSE_MS)
  }
  throw new InfraError('clusters are still being deleted: run infra/destroy again in a while')
}

async function deleteNodeSubscriptions(shell: Shell, { project }: Options): Promise<void> {
  const { stdout } = await shell.look(
    words(`gcloud pubsub subscriptions list --project=${project} --format=value(name)`).concat(
      '--filter=name~/wherry-node-',
    ),
  )
  const names = shell.isDryRun ? ['EACH'] : stdout.split('\n').filter(Boolean)
  if (names.length === 0) return
  const which = [`--project=${project}`, '--quiet']
  await shell.change(['gcloud', 'pubsub', 'subscriptions', 'delete', ...names, ...which])
}

async function removeAgentImages(shell: Shell, { project, region }: Options): Promise<void> {
  const about = [AGENT_REPOSITORY, `--project=${project}`, `--location=${region}`]
  const repositories = ['gcloud', 'artifacts', 'repositories']
  const { code } = await shell.look([...repositories, 'describe', ...about])
  if (code === 0) await shell.change([...repositories, 'delete', ...about, '--quiet'])
}

async function mustBeGone(shell: Shell, lists: readonly string[][]): Promise<void> {
  const left: string[] = []
  const unknown: string[] = []
  for (const command of lists) {
    const { code, stdout, stderr } = await shell.look(command)
    const names = stdout.split('\n').filter(Boolean)
    left.push(
      ...names.map((name) => `${command.slice(1, command.indexOf('list')).join(' ')}: ${name}`),
    )
    // A service that is off has nothing.
    if (code !== 0 && !/SERVICE_DISABLED|has not been used|not enabled/.test(stderr)) {
      unknown.push(quote(command))
    }
  }
  if (left.length > 0) throw new InfraError(`still there:\n  ${left.join('\n  ')}`)
  if (unknown.length > 0) throw new InfraError(`could not be looked at:\n  ${unknown.join('\n  ')}`)
}

function words(command: string): string[] {
  return command.split(' ')
}

if (import.meta.main) {
  process.chdir(ROOT)
  await main('destroy', destroy)
}
