// `npm run repository`: sets up a GitHub repository to be deployed to the cluster of the kubeconfig, and
// prints once what its webhook needs.

import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { openKubeClient } from './github/kube-client.ts'
import { setUpRepository, webhookUrl } from './github/set-up.ts'

const ROOT = resolve(import.meta.dirname, '..')
const HOME = resolve(process.env['WHERRY_HOME'] ?? join(ROOT, '.wherry'))

const USAGE = `npm run repository -- OWNER/NAME [options]

  --branch B      the branch to deploy (main)
  --tags PATTERN  the highest version among these tags instead, e.g. 'v*'
  --path P        the folder of the manifests (.)
  --namespace N   where the Repository and its objects are (default)
  --name N        the Repository's name (NAME)
  --rollback      go back by itself when a rollout fails
  --previews      a preview for each pull request with the label "preview"
  --kubeconfig F  (KUBECONFIG, or that of npm start)
  --token T       for a kubeconfig without one

GITHUB_TOKEN in the environment is what reads the repository and reports to it: a fine-grained token
with contents: read, commit statuses, deployments, and pull requests: write.
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
      previews: { type: 'boolean', default: false },
      kubeconfig: { type: 'string' },
      token: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const [repository] = positionals
  if (values.help || repository === undefined) {
    process.stdout.write(USAGE)
    return values.help ? 0 : 2
  }
  const name = values.name ?? repository.split('/').at(-1)?.toLowerCase() ?? ''
  const local = localOf(join(HOME, 'ready.json'))
  const file = values.kubeconfig ?? process.env['KUBECONFIG'] ?? join(HOME, 'kubeconfig')
  const client = openKubeClient(file, values.token)
  const token = process.env['GITHUB_TOKEN']
  try {
    const secret = await setUpRepository(client, {
      namespace: values.namespace,
      name,
      spec: {
        repository,
        path: values.path,
        ...(values.branch ? { branch: values.branch } : {}),
        ...(values.tags ? { tags: values.tags } : {}),
        ...(values.rollback ? { rollout: { rollback: 'Auto' } } : {}),
        ...(values.previews ? { previews: { enabled: true } } : {}),
      },
      ...(token ? { token } : {}),
    })
    const isLocal = local !== undefined && client.server === local.api
    const url = webhookUrl(client.server, isLocal ? local : undefined)
    process.stdout.write(shown(repository, url, secret, Boolean(token)))
    return 0
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
}

function shown(repository: string, url: string, secret: string, hasToken: boolean): string {
  const lines = [
    `https://github.com/${repository}/settings/hooks/new`,
    '',
    `  Payload URL   ${url}`,
    '  Content type  application/json',
    `  Secret        ${secret}      (shown once)`,
    '  Events        Send me everything, or: pushes, pull requests, branch or tag creation, releases',
    '',
    ...(hasToken
      ? []
      : [
          'GITHUB_TOKEN is not set: only a public repository can be read, nothing is reported.',
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
