// docs/deploy.md, walked through: every command in it is one that exists and takes these arguments.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ROOT } from './bundle.ts'

const TEXT = readFileSync(join(ROOT, 'docs/deploy.md'), 'utf8')
const COMMANDS = [...TEXT.matchAll(/```sh\n([^]*?)```/g)]
  .flatMap(([, block = '']) => block.trim().split('\n'))
  .map((line) => line.replaceAll('$PROJECT', 'demo-wherry'))
const INFRA = COMMANDS.filter((command) => command.startsWith('infra/'))
const GCLOUD = COMMANDS.filter((command) => command.startsWith('gcloud '))

describe('docs/deploy.md', () => {
  it('has no command of a kind that nobody checks', () => {
    const rest = COMMANDS.filter(
      (command) => !/^(infra\/|gcloud |kubectl |export [A-Z_]+=)/.test(command),
    )
    expect(rest).toEqual([])
    expect(INFRA.map((command) => command.split(' ')[0])).toEqual([
      'infra/doctor',
      'infra/deploy',
      'infra/destroy',
    ])
  })

  it.each(INFRA)('%s', (command) => {
    const { status, stdout, stderr } = spawnSync(`${command} --dry-run`, {
      cwd: ROOT,
      shell: true,
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
    expect(status).toBe(0)
    expect(stdout).toContain('--project=demo-wherry')
  })

  it('names files, scripts and variables that are there', () => {
    for (const [, path = ''] of TEXT.matchAll(/`((?:functions|infra|test)\/[\w./-]+)`/g))
      expect(existsSync(join(ROOT, path)), path).toBe(true)
    const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    for (const [, script = ''] of TEXT.matchAll(/`npm run (\w+)/g))
      expect(scripts).toHaveProperty(script)
    const variables = readFileSync(join(ROOT, 'infra/terraform/variables.tf'), 'utf8')
    for (const name of ['node_range', 'api_url', 'max_instances', 'budget_amount']) {
      expect(TEXT).toContain(name)
      expect(variables).toContain(`variable "${name}"`)
    }
    for (const [, name = ''] of TEXT.matchAll(/^\| `--([\w-]+)/gm))
      expect(readFileSync(join(ROOT, 'infra/shell.ts'), 'utf8')).toMatch(
        new RegExp(`'?${name}'?: \\{ type`),
      )
  })
})

const gcloud = spawnSync('gcloud', ['version'], { encoding: 'utf8' })

describe.skipIf(gcloud.status !== 0)('gcloud', () => {
  it('knows every command and flag of the document', () => {
    const dir = mkdtempSync(join(tmpdir(), 'wherry-gcloud-'))
    for (const command of GCLOUD) {
      const { stdout } = spawnSync(
        'gcloud',
        ['meta', 'lint-gcloud-commands', `--command-string=${command}`],
        { encoding: 'utf8', env: { ...process.env, CLOUDSDK_CONFIG: dir }, maxBuffer: 1e8 },
      )
      const [result]: { success: boolean; error_message: string }[] = JSON.parse(stdout)
      expect(result?.error_message ?? undefined, command).toBeUndefined()
      expect(result?.success, command).toBe(true)
    }
    rmSync(dir, { recursive: true, force: true })
  }, 120_000)
})
