// `infra/deploy`: brings Wherry into a Google Cloud project: checks, bundles, a plan, a question, and
// only then changes. Running it again updates; nothing is made twice.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { FUNCTIONS } from '#functions/environment.ts'
import { AGENT_DIST, AGENT_REPOSITORY, bundleAgent, installation } from './agent-bundle.ts'
import { bundle, ROOT } from './bundle.ts'
import { runDoctor } from './doctor.ts'
import { InfraError, main, type Options, type Shell } from './shell.ts'
import { initTerraform, PLAN, stateBucket, terraform, token, variables } from './terraform.ts'

/** Terraform itself needs them before it can switch on the others. */
const FIRST_SERVICES = [
  'artifactregistry.googleapis.com',
  'cloudbuild.googleapis.com',
  'cloudresourcemanager.googleapis.com',
  'compute.googleapis.com',
  'firestore.googleapis.com',
  'iam.googleapis.com',
  'serviceusage.googleapis.com',
  'storage.googleapis.com',
]

const ANSWER_ATTEMPTS = 30
const ANSWER_PAUSE_MS = 5000

export async function deploy(shell: Shell, options: Options): Promise<void> {
  const { project, region, isSure } = options
  shell.say(`# 1. Is project ${project} ready?`)
  if (!(await runDoctor(shell, options))) {
    throw new InfraError('the project is not ready: see above, nothing was changed')
  }
  shell.say('# 2. Bundles of the functions and of the node agent')
  if (shell.isDryRun) shell.say('+ npm run build')
  else {
    for (const name of FUNCTIONS) await bundle(name)
    await bundleAgent()
  }
  await shell.change(installation())
  shell.say('# 3. What Terraform needs: its first APIs, and a bucket for its state')
  await shell.change(['gcloud', 'services', 'enable', ...FIRST_SERVICES, `--project=${project}`])
  await makeStateBucket(shell, options)
  shell.say('# 4. The node agent’s image')
  const image = await agentImage(shell, options)
  shell.say('# 5. The plan')
  const env = await initTerraform(shell, options)
  const more = [...variables(options), `-var=agent_image=${image}`]
  await shell.change([...terraform('plan'), `-out=${PLAN}`, ...more], env)
  if (!isSure && !(await shell.confirm(`Make all of this in project ${project}?`, 'yes'))) {
    throw new InfraError(
      'not confirmed: nothing was made but the bucket for Terraform’s state and the agent’s image',
    )
  }
  shell.say('# 6. Making it')
  await shell.change([...terraform('apply'), PLAN], env)
  shell.say('# 7. Does it answer?')
  await mustAnswer(shell, await output(shell, 'api_url'), options)
  shell.say('# 8. Let gcloud and kubectl speak to it')
  shell.say(await output(shell, 'gcloud'))
  shell.say(`gcloud container clusters create test-cluster --zone=${region}-a --num-nodes=2`)
}

/** State names every resource; it holds no secret, since Wherry has none. */
async function makeStateBucket(shell: Shell, { project, region }: Options): Promise<void> {
  const bucket = `gs://${stateBucket(project)}`
  const { code } = await shell.look(['gcloud', 'storage', 'buckets', 'describe', bucket])
  if (code === 0 && !shell.isDryRun) return
  const settings = ['--uniform-bucket-level-access', '--public-access-prevention']
  const where = [`--project=${project}`, `--location=${region}`]
  await shell.change(['gcloud', 'storage', 'buckets', 'create', bucket, ...where, ...settings])
  await shell.change(['gcloud', 'storage', 'buckets', 'update', bucket, '--versioning'])
}

/**
 * Builds the image with Cloud Build, unless one of the same content is there; answers its name with its
 * digest. It has a repository of its own, since it must be there before Terraform's plan.
 */
async function agentImage(shell: Shell, { project, region }: Options): Promise<string> {
  const where = [`--project=${project}`, `--location=${region}`]
  const describe = ['gcloud', 'artifacts', 'repositories', 'describe', AGENT_REPOSITORY, ...where]
  const { code } = await shell.look(describe)
  if (code !== 0 || shell.isDryRun) {
    const format = '--repository-format=docker'
    const create = ['gcloud', 'artifacts', 'repositories', 'create', AGENT_REPOSITORY]
    await shell.change([...create, ...where, format])
  }
  const name = `${region}-docker.pkg.dev/${project}/${AGENT_REPOSITORY}/agent`
  const tagged = `${name}:${shell.isDryRun ? '<content>' : contentOf(AGENT_DIST)}`
  const known = await digestOf(shell, tagged)
  if (known) return `${name}@${known}`
  const submit = ['gcloud', 'builds', 'submit', AGENT_DIST]
  const config = `--config=${AGENT_DIST}/cloudbuild.yaml`
  const build = [`--project=${project}`, `--region=${region}`, config]
  await shell.change([...submit, ...build, `--substitutions=_IMAGE=${tagged}`])
  const digest = await digestOf(shell, tagged)
  if (digest) return `${name}@${digest}`
  if (shell.isDryRun) return `${name}@<digest>`
  throw new InfraError(`Cloud Build has ended, but there is no image ${tagged}`)
}

async function digestOf(shell: Shell, image: string): Promise<string | undefined> {
  const format = '--format=value(image_summary.digest)'
  const describe = ['gcloud', 'artifacts', 'docker', 'images', 'describe', image, format]
  const { stdout } = await shell.look(describe)
  return /^sha256:[0-9a-f]{64}$/.exec(stdout.trim())?.[0]
}

/** Changes with what the image is made of: our code, the locked packages, the Dockerfile. */
function contentOf(dir: string): string {
  const hash = createHash('sha256')
  for (const file of ['Dockerfile', 'index.js', 'package-lock.json']) {
    hash.update(readFileSync(join(dir, file)))
  }
  return hash.digest('hex').slice(0, 16)
}

async function output(shell: Shell, name: string): Promise<string> {
  const { stdout } = await shell.look([...terraform('output'), '-raw', name])
  return shell.isDryRun ? `<${name}>` : stdout.trim()
}

/** Somebody who may see clusters is answered; the first answer takes a cold start. */
async function mustAnswer(shell: Shell, url: string, { project }: Options): Promise<void> {
  const clusters = `${url}/v1/projects/${project}/locations/-/clusters`
  for (let attempt = 1; attempt <= ANSWER_ATTEMPTS; attempt++) {
    const answer = await shell.request('GET', clusters, await token(shell)).catch(() => undefined)
    if (answer !== undefined || shell.isDryRun) return
    await shell.sleep(ANSWER_PAUSE_MS)
  }
  throw new InfraError(
    `${clusters} does not answer. Compare \`terraform -chdir=infra/terraform output function_urls\` with it: ` +
      'if Google has given another address, deploy again with --var api_url=THAT. Else look at the function’s log.',
  )
}

if (import.meta.main) {
  process.chdir(ROOT)
  await main('deploy', deploy)
}
