// `infra/deploy`: brings Wherry into a Google Cloud project: checks, bundles, a plan, a question, and
// only then changes. Running it again updates; nothing is made twice.

import { FUNCTIONS } from '#functions/environment.ts'
import { bundle, ROOT } from './bundle.ts'
import { runDoctor } from './doctor.ts'
import { InfraError, main, type Options, type Shell } from './shell.ts'
import { initTerraform, PLAN, stateBucket, terraform, token, variables } from './terraform.ts'

/** Terraform itself needs them before it can switch on the others. */
const FIRST_SERVICES = [
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
  shell.say('# 2. Bundles of the functions')
  if (shell.isDryRun) shell.say('+ npm run build')
  else for (const name of FUNCTIONS) await bundle(name)
  shell.say('# 3. What Terraform needs: its first APIs, and a bucket for its state')
  await shell.change(['gcloud', 'services', 'enable', ...FIRST_SERVICES, `--project=${project}`])
  await makeStateBucket(shell, options)
  shell.say('# 4. The plan')
  const env = await initTerraform(shell, options)
  await shell.change([...terraform('plan'), `-out=${PLAN}`, ...variables(options)], env)
  if (!isSure && !(await shell.confirm(`Make all of this in project ${project}?`, 'yes'))) {
    throw new InfraError('not confirmed: nothing was made but the bucket for Terraform’s state')
  }
  shell.say('# 5. Making it')
  await shell.change([...terraform('apply'), PLAN], env)
  shell.say('# 6. Does it answer?')
  await mustAnswer(shell, await output(shell, 'api_url'), options)
  shell.say('# 7. Let gcloud and kubectl speak to it')
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
