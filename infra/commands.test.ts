// deploy, destroy and doctor without a cloud: what they ask, in which order they act, when they stop.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ROOT } from './bundle.ts'
import { deploy } from './deploy.ts'
import { destroy, leftovers } from './destroy.ts'
import { NEEDED_PERMISSIONS, NEEDED_QUOTAS, runDoctor } from './doctor.ts'
import { dryShell, quote, readOptions, type Result, type Shell } from './shell.ts'

const OPTIONS = readOptions('deploy', ['--project', 'demo-wherry'])
const API = 'https://wherry-api-1.us-central1.run.app'
const TOKEN = 'ya29.secret'
const DIGEST = `sha256:${'a'.repeat(64)}`

interface World {
  /** Answers by the beginning of a command. */
  answers: Record<string, Partial<Result>>
  permissions: string[]
  clusters: { name: string; location: string }[]
  answer: boolean
}

/** A project that is ready to be deployed to. */
function readyWorld(): World {
  const quotas = Object.keys(NEEDED_QUOTAS).map((metric) => ({ metric, limit: 1000, usage: 0 }))
  return {
    answers: {
      'terraform version': { stdout: '{"terraform_version":"1.11.4"}' },
      'gcloud version': {},
      'gcloud auth list': { stdout: 'ada@example.com\n' },
      'gcloud auth print-access-token': { stdout: `${TOKEN}\n` },
      'gcloud projects describe': { stdout: '{"lifecycleState":"ACTIVE"}' },
      'gcloud billing projects describe': { stdout: 'True\n' },
      'gcloud compute regions describe': { stdout: JSON.stringify({ quotas }) },
      'gcloud firestore databases list --project=demo-wherry --format=json': { stdout: '[]' },
      'gcloud resource-manager org-policies': { stdout: '{}' },
      'gcloud storage buckets describe': { code: 1, stderr: 'not found: 404' },
      'terraform -chdir=infra/terraform output -raw api_url': { stdout: API },
      'terraform -chdir=infra/terraform output -raw gcloud': { stdout: 'gcloud config …' },
    },
    permissions: NEEDED_PERMISSIONS,
    clusters: [],
    answer: true,
  }
}

/** Plays gcloud, Terraform, Google and the person; keeps what was changed and said. */
function play(world: World): { shell: Shell; changes: string[]; said: () => string } {
  const changes: string[] = []
  const lines: string[] = []
  const shell: Shell = {
    isDryRun: false,
    say: (text) => void lines.push(text),
    look: async (command) => {
      const text = command.join(' ')
      const [, found = {}] =
        Object.entries(world.answers)
          .filter(([start]) => text.startsWith(start))
          .sort(([a], [b]) => b.length - a.length)[0] ?? []
      return { code: 0, stdout: '', stderr: '', ...found }
    },
    change: async (command) => {
      changes.push(command.join(' '))
      if (command[1] === 'builds') {
        world.answers['gcloud artifacts docker images describe'] = { stdout: `${DIGEST}\n` }
      }
    },
    request: async (method, url) => {
      if (url.endsWith(':testIamPermissions')) return { permissions: world.permissions }
      if (method !== 'DELETE') return { clusters: world.clusters }
      changes.push(`DELETE ${url}`)
      world.clusters = world.clusters.filter(({ name }) => !url.endsWith(`/${name}`))
      return {}
    },
    confirm: async () => world.answer,
    sleep: async () => undefined,
  }
  return { shell, changes, said: () => lines.join('\n') }
}

describe('doctor', () => {
  it('finds nothing wrong with a project that is ready', async () => {
    const { shell, said } = play(readyWorld())
    expect(await runDoctor(shell, OPTIONS)).toBe(true)
    expect(said()).not.toMatch(/✗|\?/)
  })

  it.each<[string, (world: World) => void, RegExp]>([
    ['Terraform', (w) => (w.answers['terraform version'] = { code: 127 }), /terraform/],
    [
      'a newer Terraform',
      (w) => (w.answers['terraform version'] = { stdout: '{"terraform_version":"1.5.7"}' }),
      /1\.5\.7/,
    ],
    ['gcloud', (w) => (w.answers['gcloud version'] = { code: 127 }), /cloud.google.com\/sdk/],
    ['a login', (w) => (w.answers['gcloud auth list'] = {}), /gcloud auth login/],
    [
      'the project',
      (w) => (w.answers['gcloud projects describe'] = { code: 1, stderr: 'NOT_FOUND' }),
      /gcloud projects create demo-wherry/,
    ],
    [
      'billing',
      (w) => (w.answers['gcloud billing projects describe'] = { stdout: 'False' }),
      /gcloud billing projects link demo-wherry/,
    ],
    ['permissions', (w) => (w.permissions = []), /missing: artifactregistry/],
    [
      'quota',
      (w) =>
        (w.answers['gcloud compute regions describe'] = {
          stdout: '{"quotas":[{"metric":"CPUS","limit":8,"usage":7}]}',
        }),
      /CPUS: 1 left, 6 needed/,
    ],
    [
      'a region of that name',
      (w) => (w.answers['gcloud compute regions describe'] = { code: 1, stderr: 'not found' }),
      /gcloud compute regions list/,
    ],
    [
      'a place for its database',
      (w) =>
        (w.answers['gcloud firestore databases list --project=demo-wherry --format=json'] = {
          stdout: '[{"name":"projects/p/databases/(default)","type":"DATASTORE_MODE"}]',
        }),
      /--database=wherry/,
    ],
    [
      'a policy that allows a public function',
      (w) =>
        (w.answers['gcloud resource-manager org-policies'] = {
          stdout: '{"listPolicy":{"allowedValues":["C0123"]}}',
        }),
      /iam\.allowedPolicyMemberDomains/,
    ],
  ])('says that %s is missing, and what to do', async (_, harm, fix) => {
    const world = readyWorld()
    harm(world)
    const { shell, said } = play(world)
    expect(await runDoctor(shell, OPTIONS)).toBe(false)
    expect(said()).toMatch(/✗/)
    expect(said()).toMatch(fix)
  })

  it('does not call unknown what is only not switched on yet', async () => {
    const world = readyWorld()
    const stderr = 'SERVICE_DISABLED: Compute Engine API has not been used in project'
    world.answers['gcloud compute regions describe'] = { code: 1, stderr }
    expect(await runDoctor(play(world).shell, OPTIONS)).toBe(true)
  })
})

describe('deploy', () => {
  it('changes nothing in a project that is not ready', async () => {
    const { shell, changes } = play({ ...readyWorld(), permissions: [] })
    await expect(deploy(shell, OPTIONS)).rejects.toThrow(/not ready/)
    expect(changes).toEqual([])
  })

  it('plans, asks, and makes the very plan that was shown', async () => {
    const { shell, changes, said } = play(readyWorld())
    await deploy(shell, OPTIONS)
    const verbs = changes.map((each) => /-chdir=\S+ (\w+)/.exec(each)?.[1] ?? each.split(' ')[1])
    const expected = ['ci', 'services', 'storage', 'storage', 'builds', 'init', 'plan', 'apply']
    expect(verbs).toEqual(expected)
    expect(changes.at(-2)).toContain('-out=wherry.tfplan')
    const image = `us-central1-docker.pkg.dev/demo-wherry/wherry-agent/agent`
    expect(changes.at(-2)).toContain(`-var=agent_image=${image}@${DIGEST}`)
    expect(changes.find((each) => each.includes('builds'))).toMatch(
      new RegExp(`--substitutions=_IMAGE=${image}:[0-9a-f]{16}$`),
    )
    expect(changes.at(-1)).toBe('terraform -chdir=infra/terraform apply wherry.tfplan')
    expect(said() + changes.join('')).not.toContain(TOKEN)
  }, 60_000)

  it('builds no image of what has one already', async () => {
    const world = readyWorld()
    world.answers['gcloud artifacts docker images describe'] = { stdout: DIGEST }
    const { shell, changes } = play(world)
    await deploy(shell, OPTIONS)
    expect(changes.join('\n')).not.toContain('builds submit')
    expect(changes.at(-2)).toContain(`agent@${DIGEST}`)
  }, 60_000)

  it('makes nothing when the person says no', async () => {
    const { shell, changes } = play({ ...readyWorld(), answer: false })
    await expect(deploy(shell, OPTIONS)).rejects.toThrow(/not confirmed/)
    expect(changes.join('\n')).not.toContain(' apply ')
  }, 60_000)
})

describe('destroy', () => {
  const cluster = { name: 'test-cluster', location: 'us-central1-a' }

  it('removes nothing when the person says no', async () => {
    const { shell, changes } = play({ ...readyWorld(), clusters: [cluster], answer: false })
    await expect(destroy(shell, OPTIONS)).rejects.toThrow(/not confirmed/)
    expect(changes.join('\n')).not.toMatch(/DELETE| apply | rm /)
  }, 60_000)

  it('removes clusters, what VMs made, the rest, and then looks whether anything is left', async () => {
    const world = { ...readyWorld(), clusters: [cluster] }
    world.answers['gcloud pubsub subscriptions list --project=demo-wherry --format=value(name)'] = {
      stdout: 'projects/p/subscriptions/wherry-node-a\n',
    }
    const { shell, changes, said } = play(world)
    // Once it is deleted, nothing lists it any more.
    await expect(destroy(shell, OPTIONS)).resolves.toBeUndefined()
    expect(changes.map((each) => each.split(' ').slice(0, 3).join(' '))).toEqual([
      'terraform -chdir=infra/terraform init',
      'terraform -chdir=infra/terraform plan',
      `DELETE ${API}/v1/projects/demo-wherry/locations/us-central1-a/clusters/test-cluster`,
      'gcloud pubsub subscriptions',
      'terraform -chdir=infra/terraform init',
      'terraform -chdir=infra/terraform apply',
      'gcloud artifacts repositories',
      'gcloud storage rm',
    ])
    expect(said()).toContain('Nothing of Wherry is left')
  }, 60_000)

  it('stops before Terraform while a VM is there, and fails when something is left', async () => {
    const vm = readyWorld()
    vm.answers['gcloud compute instances list'] = { stdout: 'gke-test-vm\n' }
    const before = play(vm)
    await expect(destroy(before.shell, OPTIONS)).rejects.toThrow(/compute instances: gke-test-vm/)
    expect(before.changes.join('\n')).not.toContain(' apply ')
    const left = readyWorld()
    left.answers['gcloud pubsub topics list'] = { stdout: 'projects/p/topics/wherry-nodes\n' }
    await expect(destroy(play(left).shell, OPTIONS)).rejects.toThrow(
      /pubsub topics: .*wherry-nodes/,
    )
    const silent = readyWorld()
    silent.answers['gcloud compute firewall-rules list'] = { code: 1, stderr: 'PERMISSION_DENIED' }
    await expect(destroy(play(silent).shell, OPTIONS)).rejects.toThrow(/could not be looked at/)
  }, 60_000)
})

describe('--dry-run', () => {
  it.each(['deploy', 'destroy', 'doctor'])('infra/%s prints its commands and runs none', (name) => {
    const { status, stdout, stderr } = spawnSync(
      join(ROOT, 'infra', name),
      ['--project', 'demo-wherry', '--dry-run'],
      // Without gcloud or Terraform.
      { encoding: 'utf8', env: { PATH: '/usr/bin:/bin', CLOUDSDK_CONFIG: '/nowhere' } },
    )
    expect(stderr).toBe('')
    expect(status).toBe(0)
    expect(stdout).toContain('? gcloud auth print-access-token')
  })

  it('says how a command is used', () => {
    const { status, stderr } = spawnSync(join(ROOT, 'infra/deploy'), { encoding: 'utf8' })
    expect(status).toBe(1)
    expect(stderr).toContain('usage: infra/deploy --project PROJECT')
    expect(() => readOptions('deploy', ['--project', 'x; rm -rf /'])).toThrow(/usage/)
  })
})

const gcloud = spawnSync('gcloud', ['version'], { encoding: 'utf8' })

describe.skipIf(gcloud.status !== 0)('gcloud itself', () => {
  it('knows every command and flag that is used', async () => {
    const commands: string[] = []
    const shell = dryShell((line) => {
      const command = /^[?+] (gcloud .*)/.exec(line)?.[1]
      if (command) commands.push(command)
    })
    await deploy(shell, OPTIONS)
    await destroy(shell, OPTIONS)
    expect(commands.length).toBeGreaterThan(30)
    const dir = mkdtempSync(join(tmpdir(), 'wherry-gcloud-'))
    const file = join(dir, 'commands.json')
    writeFileSync(
      file,
      JSON.stringify([...new Set(commands)].map((each) => ({ command_string: each }))),
    )
    const { stdout } = spawnSync(
      'gcloud',
      ['meta', 'lint-gcloud-commands', `--commands-file=${file}`],
      { encoding: 'utf8', env: { ...process.env, CLOUDSDK_CONFIG: dir }, maxBuffer: 1e8 },
    )
    rmSync(dir, { recursive: true, force: true })
    const results: { success: boolean; command_string: string; error_message: string }[] =
      JSON.parse(stdout)
    expect(results).toHaveLength(new Set(commands).size)
    expect(results.filter(({ success }) => !success).map((each) => each.error_message)).toEqual([])
  }, 60_000)
})

describe('what could be left', () => {
  it('is looked for in every kind of thing that Terraform or the cloud function makes', () => {
    const looked = leftovers(OPTIONS).map((command) => quote(command))
    for (const kind of [
      'compute instances',
      'compute instance-groups',
      'compute instance-templates',
      'compute disks',
      'compute forwarding-rules',
      'compute backend-services',
      'compute addresses',
      'compute health-checks',
      'compute networks',
      'compute firewall-rules',
      'functions',
      'pubsub topics',
      'pubsub subscriptions',
      'scheduler jobs',
      'tasks queues',
      'logging sinks',
      'artifacts repositories',
      'iam service-accounts',
      'iam roles',
      'storage buckets',
      'firestore databases',
    ])
      expect(
        looked.some((each) => each.startsWith(`gcloud ${kind} list`)),
        kind,
      ).toBe(true)
  })
})
