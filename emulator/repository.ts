// `npm run repository`: sets up a GitHub repository to be deployed to the cluster of the kubeconfig, and
// prints once what its webhook needs; or takes the last deploy back.

import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import { openKubeClient, type KubeClient } from './github/kube-client.ts'
import { askRollback, readRepository, setUpRepository, webhookUrl } from './github/set-up.ts'

const ROOT = resolve(import.meta.dirname, '..')
const HOME = resolve(process.env['WHERRY_HOME'] ?? join(ROOT, '.wherry'))

const POLL_MS = 200
const BACK_MS = 30_000

const USAGE = `npm run repository -- OWNER/NAME [options]
npm run repository -- --back NAME        goes back to the good release before


  --branch B      the branch to deploy (main)
  --tags PATTERN  the highest version among these tags instead, e.g. 'v*'
  --path P        the folder of the manifests (.)
  --namespace N   where the Repository and its objects are (default)
  --name N        the Repository's name (NAME)
  --rollback      go back by itself when a rollout fails
  --revert        and open a pull request on GitHub that takes the commit back there
  --previews      a preview for each pull request with the label "preview"
  --kubeconfig F  (KUBECONFIG, or that of npm start)
  --token T       for a kubeconfig without one

GITHUB_TOKEN in the environment is what reads the repository and reports to it: a fine-grained token
with contents: read (write for --revert), commit statuses, deployments, and pull requests: write. Or a
GitHub App with the same and checks: write: GITHUB_APP_ID, GITHUB_INSTALLATION_ID, and in
GITHUB_PRIVATE_KEY_FILE the file of its key.
`

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      branch: { type: 'string' },
      tags: { type: 'string' },
      path: { type: 'string', default: '.' },
      namespace: { type: 'string', default: 'default' },
      name: { type: 'string' },
      rollback: { type: 'boolean', default: false },
      revert: { type: 'boolean', default: false },
      back: { type: 'string' },
      previews: { type: 'boolean', default: false },
      kubeconfig: { type: 'string' },
      token: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const file = values.kubeconfig ?? process.env['KUBECONFIG'] ?? join(HOME, 'kubeconfig')
  const [repository] = positionals
  if (values.help || (repository === undefined && !values.back)) {
    process.stdout.write(USAGE)
    return values.help ? 0 : 2
  }
  try {
    const client = openKubeClient(file, values.token)
    if (values.back) await goBack(client, values.namespace, values.back)
    else if (repository) await setUp(client, repository, values)
    return 0
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
}

interface Wishes {
  branch?: string | undefined
  tags?: string | undefined
  path: string
  namespace: string
  name?: string | undefined
  rollback: boolean
  revert: boolean
  previews: boolean
}

async function setUp(client: KubeClient, repository: string, wishes: Wishes): Promise<void> {
  const { branch, tags, path, namespace, rollback, revert, previews } = wishes
  const name = wishes.name ?? repository.split('/').at(-1)?.toLowerCase() ?? ''
  const credentials = credentialsOf(process.env)
  const secret = await setUpRepository(client, {
    namespace,
    name,
    spec: {
      repository,
      path,
      ...(branch ? { branch } : {}),
      ...(tags ? { tags } : {}),
      ...(rollback || revert
        ? { rollout: { rollback: 'Auto', ...(revert ? { revertPullRequest: true } : {}) } }
        : {}),
      ...(previews ? { previews: { enabled: true } } : {}),
    },
    ...(credentials ? { credentials } : {}),
  })
  const local = localOf(join(HOME, 'ready.json'))
  const isLocal = local !== undefined && client.server === local.api
  const url = webhookUrl(client.server, isLocal ? local : undefined)
  process.stdout.write(shown(repository, url, secret, credentials !== undefined))
}

/** Error: a GitHub App is named by half. */
function credentialsOf(env: NodeJS.ProcessEnv): Record<string, string> | undefined {
  const token = env['GITHUB_TOKEN']
  if (token) return { token }
  const appId = env['GITHUB_APP_ID']
  const installationId = env['GITHUB_INSTALLATION_ID']
  const keyFile = env['GITHUB_PRIVATE_KEY_FILE']
  if (!appId && !installationId && !keyFile) return undefined
  if (!appId || !installationId || !keyFile) {
    throw new Error(
      'a GitHub App needs GITHUB_APP_ID, GITHUB_INSTALLATION_ID and GITHUB_PRIVATE_KEY_FILE',
    )
  }
  return { appId, installationId, privateKey: readFileSync(keyFile, 'utf8') }
}

/** Asks, and tells what came of it. Error: there is nothing to go back to, or it takes too long. */
async function goBack(client: KubeClient, namespace: string, name: string): Promise<void> {
  const wish = new Date().toISOString()
  const before = (await readRepository(client, namespace, name))?.status?.deploy
  await askRollback(client, namespace, name, wish)
  const deadline = Date.now() + BACK_MS
  while (Date.now() < deadline) {
    const { rolledBack, deploy } = (await readRepository(client, namespace, name))?.status ?? {}
    if (rolledBack === wish) {
      const isSame = deploy?.startedAt === before?.startedAt && deploy?.commit === before?.commit
      if (!deploy || isSame) throw new Error(`${name} has no good release before this one`)
      process.stdout.write(`${deploy.commit.slice(0, 7)} again: ${deploy.message ?? ''}\n`)
      return
    }
    await sleep(POLL_MS)
  }
  throw new Error(`not answered yet: kubectl get repository ${name} -n ${namespace} -o yaml`)
}

function shown(repository: string, url: string, secret: string, hasCredentials: boolean): string {
  const lines = [
    `https://github.com/${repository}/settings/hooks/new`,
    '',
    `  Payload URL   ${url}`,
    '  Content type  application/json',
    `  Secret        ${secret}      (shown once)`,
    '  Events        Send me everything, or: pushes, pull requests, branch or tag creation, releases, packages, workflow runs, check runs',
    '',
    ...(hasCredentials
      ? []
      : [
          'Neither GITHUB_TOKEN nor a GitHub App: only a public repository can be read, nothing is reported.',
          '',
        ]),
  ]
  return `${lines.join('\n')}\n`
}

/** What the Wherry of this machine says of itself, when it runs. */
function localOf(file: string): { api: string; gcloud: string; cluster: string } | undefined {
  if (!existsSync(file)) return undefined
  const ready: { api: string; gcloud: string; cluster: string } = JSON.parse(
    readFileSync(file, 'utf8'),
  )
  return ready
}
