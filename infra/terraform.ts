// How Terraform is run: in its folder, with the state in the project's own bucket, as the person who
// is logged in with gcloud.

import { InfraError, type Options, type Shell } from './shell.ts'

/** In Terraform's folder. */
export const PLAN = 'wherry.tfplan'

export function terraform(command: string): string[] {
  return ['terraform', '-chdir=infra/terraform', command]
}

/** Its name without `gs://`. */
export function stateBucket(project: string): string {
  return `${project}-wherry-state`
}

/** Prepares the folder; answers the environment for the commands that follow. */
export async function initTerraform(
  shell: Shell,
  { project }: Options,
): Promise<Record<string, string>> {
  const env = { GOOGLE_OAUTH_ACCESS_TOKEN: await token(shell), TF_IN_AUTOMATION: '1' }
  const backend = `-backend-config=bucket=${stateBucket(project)}`
  await shell.change([...terraform('init'), '-input=false', '-reconfigure', backend], env)
  return env
}

/** The person's access token, which lasts an hour. Never printed. */
export async function token(shell: Shell): Promise<string> {
  const { stdout, code } = await shell.look(['gcloud', 'auth', 'print-access-token'])
  if (code !== 0) throw new InfraError('nobody is logged in: gcloud auth login')
  return stdout.trim()
}

/** The options as Terraform's variables. */
export function variables({ project, region, database, billingAccount, vars }: Options): string[] {
  return [
    '-input=false',
    `-var=project=${project}`,
    `-var=region=${region}`,
    `-var=database=${database}`,
    `-var=billing_account=${billingAccount}`,
    ...vars.map((each) => `-var=${each}`),
  ]
}
