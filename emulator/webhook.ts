// `npm run webhook -- FOLDER`: what happens after `git push`, on one machine. The folder's newest commit
// is deployed to the Wherry that runs here (`npm start`), and how it goes is told until it is over.

import { createHmac, randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { Secret } from '#shared/api/config.ts'
import type { DeployState, Repository } from '#shared/api/repository.ts'
import { openKubeClient, type KubeClient } from './github/kube-client.ts'
import { readRepository, setUpRepository, webhookUrl } from './github/set-up.ts'

const ROOT = resolve(import.meta.dirname, '..')
const HOME = resolve(process.env['WHERRY_HOME'] ?? join(ROOT, '.wherry'))
const NAMESPACE = 'default'
const POLL_MS = 150
const DEADLINE_MS = 180_000

const USAGE = `npm run webhook -- FOLDER [options]

  FOLDER         a git repository on this machine; its newest commit is deployed
  --path P       the folder of the manifests in it (k8s)
  --name N       the Repository's name (the folder's)
  --timeout S    seconds that a rollout may take (30)

Works on the Wherry of WHERRY_HOME (.wherry), while it runs.
`

/** Something that the caller should be told, and no more. */
class Refusal extends Error {}

interface Ready {
  api: string
  gcloud: string
  cluster: string
  kubeconfig: string
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof Refusal)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      path: { type: 'string', default: 'k8s' },
      name: { type: 'string' },
      timeout: { type: 'string', default: '30' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const [folder] = positionals
  if (values.help || folder === undefined) {
    process.stdout.write(USAGE)
    return values.help ? 0 : 2
  }
  const ready = readReady()
  const client = openKubeClient(ready.kubeconfig)
  const name = values.name ?? basename(resolve(folder)).toLowerCase()
  const { branch, head } = await register(ready, client, name, resolve(folder))
  const settings = { branch, path: values.path, timeoutSeconds: Number(values.timeout) }
  const secret = await secretOf(client, name, settings)
  const startedAt = performance.now()
  const known = (await readRepository(client, NAMESPACE, name))?.status?.deploy
  await push(ready, { name, branch, head, secret })
  return follow(client, { name, head, known, startedAt })
}

function readReady(): Ready {
  const file = join(HOME, 'ready.json')
  if (!existsSync(file)) throw new Refusal(`Wherry does not run in ${HOME}: npm start`)
  const ready: Ready = JSON.parse(readFileSync(file, 'utf8'))
  if (!ready.api) throw new Refusal('there is no cluster: start without --empty')
  return ready
}

/** Lets this machine's GitHub serve the folder as `local/NAME`. */
async function register(
  { gcloud }: Ready,
  { token }: KubeClient,
  name: string,
  folder: string,
): Promise<{ branch: string; head: string }> {
  const response = await fetch(`${gcloud}/github/local/${name}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ folder }),
  }).catch(() => {
    throw new Refusal(`Wherry does not answer at ${gcloud}`)
  })
  const text = await response.text()
  if (!response.ok) throw new Refusal(`${folder}: ${text.trim()}`)
  const { branch, head }: { branch: string; head?: string } = JSON.parse(text)
  if (!head) throw new Refusal(`${folder} has no commit yet`)
  return { branch, head }
}

/** Of the Repository, which is set up at the first call. */
async function secretOf(
  client: KubeClient,
  name: string,
  { branch, path, timeoutSeconds }: { branch: string; path: string; timeoutSeconds: number },
): Promise<string> {
  if (await readRepository(client, NAMESPACE, name)) {
    const secretPath = `/api/v1/namespaces/${NAMESPACE}/secrets/${name}-webhook`
    const { body } = await client.request('GET', secretPath)
    const { data } = body as Secret
    return Buffer.from(data?.['secret'] ?? '', 'base64').toString()
  }
  say(`Repository ${name} is set up: ${path} of branch ${branch}, with rollback`)
  return setUpRepository(client, {
    namespace: NAMESPACE,
    name,
    spec: {
      repository: `local/${name}`,
      branch,
      path,
      rollout: { rollback: 'Auto', timeoutSeconds },
    },
    credentials: { token: 'local' },
  })
}

async function push(
  { api, gcloud, cluster }: Ready,
  { name, branch, head, secret }: { name: string; branch: string; head: string; secret: string },
): Promise<void> {
  const body = JSON.stringify({
    ref: `refs/heads/${branch}`,
    after: head,
    deleted: false,
    forced: false,
    repository: { full_name: `local/${name}` },
  })
  const response = await fetch(webhookUrl(api, { gcloud, cluster }), {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'x-github-event': 'push',
      'x-github-delivery': randomUUID(),
      'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
    },
  })
  if (!response.ok)
    throw new Refusal(`the webhook answers ${response.status}: ${await response.text()}`)
  say(`push of ${head.slice(0, 7)} to ${branch}: accepted`)
}

interface Following {
  name: string
  head: string
  known: DeployState | undefined
  startedAt: number
}

async function follow(
  client: KubeClient,
  { name, head, known, startedAt }: Following,
): Promise<number> {
  const deadline = performance.now() + DEADLINE_MS
  let last = ''
  while (performance.now() < deadline) {
    const repository = await readRepository(client, NAMESPACE, name)
    const { deploy, looked = 0, asked = 0 } = repository?.status ?? {}
    const isAbout = deploy?.commit === head || deploy?.instead === head
    // What was under way already is followed too: it may be this very commit.
    const isOld =
      !isUnderWay(known) &&
      deploy?.startedAt === known?.startedAt &&
      deploy?.commit === known?.commit
    const line = repository && deploy && isAbout ? shown(deploy) : ''
    if (line !== '' && line !== last) {
      say(`${((performance.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${line}`)
      last = line
    }
    const isElsewhere = !isAbout && !isUnderWay(deploy)
    if ((isOld || isElsewhere) && looked >= asked) {
      say(why(repository))
      return runs(deploy, head) ? 0 : 1
    }
    if (deploy && isAbout && !isOld && ['Healthy', 'Failed', 'Refused'].includes(deploy.phase)) {
      return runs(deploy, head) ? 0 : 1
    }
    await sleep(POLL_MS)
  }
  throw new Refusal(
    `not over after ${DEADLINE_MS / 1000} s: kubectl get repository ${name} -o yaml`,
  )
}

function runs(deploy: DeployState | undefined, head: string): boolean {
  return deploy?.phase === 'Healthy' && deploy.commit === head
}

function isUnderWay(deploy: DeployState | undefined): boolean {
  return deploy?.phase === 'Progressing' || deploy?.phase === 'RollingBack'
}

/** Nothing was deployed: it runs already, was skipped, or GitHub could not be asked. */
function why(repository: Repository | undefined): string {
  const { deploy, conditions } = repository?.status ?? {}
  const trouble = conditions?.find(({ status }) => status === 'False')?.message
  return trouble ?? (deploy ? `nothing new: ${shown(deploy)}` : 'nothing to deploy')
}

function shown({
  commit,
  phase,
  message,
  url,
  instead,
  created,
  changed,
  pruned,
}: DeployState): string {
  const counts = `${created ?? 0} created, ${changed ?? 0} changed, ${pruned ?? 0} removed`
  const what = instead ? `${commit.slice(0, 7)} again` : commit.slice(0, 7)
  return `${phase.padEnd(12)} ${what}: ${message ?? ''} (${counts})${url ? `  ${url}` : ''}`
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
