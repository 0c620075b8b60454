// A gcloud configuration named `wherry`, so that real gcloud speaks to this machine's Wherry. It goes
// into a gcloud folder of its own: the user's configurations are not touched.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface GcloudConfig {
  /** The folder for CLOUDSDK_CONFIG. */
  dir: string
  project: string
  zone: string
  /** `http://127.0.0.1:8085`, without a slash at the end. */
  endpoint: string
  token: string
}

/** Writes the configuration and answers the lines that make a shell use it. */
export function writeGcloudConfig(config: GcloudConfig): string {
  const { dir, project, zone, endpoint, token } = config
  mkdirSync(join(dir, 'configurations'), { recursive: true })
  const tokenFile = join(dir, 'access-token')
  writeFileSync(tokenFile, token, { mode: 0o600 })
  const sections = {
    core: {
      project,
      disable_prompts: 'true',
      check_gce_metadata: 'false',
      disable_usage_reporting: 'true',
    },
    auth: { access_token_file: tokenFile },
    compute: { zone },
    metrics: { environment: 'local' },
    // gcloud joins paths to these as they are: the slash at the end is needed.
    api_endpoint_overrides: {
      container: `${endpoint}/`,
      compute: `${endpoint}/`,
      serviceusage: `${endpoint}/`,
    },
  }
  const text = Object.entries(sections)
    .map(
      ([name, values]) =>
        `[${name}]\n${Object.entries(values)
          .map(([key, value]) => `${key} = ${value}\n`)
          .join('')}`,
    )
    .join('\n')
  writeFileSync(join(dir, 'configurations', 'config_wherry'), text)
  writeFileSync(join(dir, 'active_config'), 'wherry')
  return `export CLOUDSDK_CONFIG=${dir} CLOUDSDK_ACTIVE_CONFIG_NAME=wherry`
}
