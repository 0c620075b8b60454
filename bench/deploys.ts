// From a push to the first new pod that is Ready, on the whole local system: signed webhook, tarball,
// one commit, controllers, agent, container. `npm run bench -- deploys [RUNS]`

import { spawn } from 'node:child_process'
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openKubeClient } from '#emulator/github/kube-client.ts'
import { createGitRepository } from '#test/github/git-repository.ts'
import { startLocalWherry, type LocalWherry } from '#test/local-wherry.ts'
import type { Measure } from './measurement.ts'

const ROOT = join(import.meta.dirname, '..')
const RUNS = 10
const POLL_MS = 20
const DEADLINE_MS = 60_000

/** Published by others about tools that poll, not measured here: until a push is noticed at all. */
const PEERS = [
  {
    name: 'polling.1.fastest',
    value: 18,
    at: 'https://github.com/zimmertr/Kubernetes-Manifests/pull/851',
  },
  {
    name: 'polling.1.slowest',
    value: 182,
    at: 'https://github.com/zimmertr/Kubernetes-Manifests/pull/851',
  },
  {
    name: 'polling.2.fastest',
    value: 153,
    at: 'https://github.com/LikeLionTeam4/slash-infra/issues/15',
  },
  {
    name: 'polling.2.slowest',
    value: 296,
    at: 'https://github.com/LikeLionTeam4/slash-infra/issues/15',
  },
].map(({ name, value, at }) => ({
  name: `deploys.published.${name}`,
  unit: 's',
  value,
  note: `published, not measured here: ${at}`,
}))

interface PodStatus {
  metadata: { name: string; annotations?: Record<string, string> }
  status?: { conditions?: { type: string; status: string }[] }
}

export const measure: Measure = async (args) => {
  const runs = Number(args[0] ?? RUNS)
  const wherry = await startLocalWherry({ args: ['--nodes', '1'] })
  const git = createGitRepository()
  try {
    cpSync(join(ROOT, 'examples/deploy-from-github/k8s'), join(git.folder, 'k8s'), {
      recursive: true,
    })
    git.commit('0', {})
    await run(wherry, git.folder)
    const times: number[] = []
    for (let count = 1; count <= runs; count++) {
      git.commit(String(count), { 'k8s/kustomization.yaml': kustomization(count) })
      const pushedAt = performance.now()
      const [ready] = await Promise.all([
        untilReady(wherry, `run-${count}`),
        run(wherry, git.folder),
      ])
      times.push((ready - pushedAt) / 1000)
    }
    times.sort((a, b) => a - b)
    const note = `${runs} pushes, pods ready at the end`
    return [
      {
        name: 'deploys.push-to-ready.median',
        unit: 's',
        value: times[Math.floor(runs / 2)] ?? 0,
        note,
      },
      { name: 'deploys.push-to-ready.slowest', unit: 's', value: times.at(-1) ?? 0 },
      ...PEERS,
    ]
  } finally {
    git.remove()
    await wherry.dispose()
  }
}

function kustomization(count: number): string {
  return `resources: [game.yaml]
configMapGenerator: [{ name: game-settings, literals: ['GREETING=${count}'] }]
patches:
  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: { name: game }
      spec: { template: { metadata: { annotations: { run: run-${count} } } } }
`
}

/** The program that simulates the webhook; its own start is part of what is measured. */
function run({ home }: LocalWherry, folder: string): Promise<void> {
  const child = spawn(process.execPath, ['emulator/webhook.ts', folder, '--name', 'game'], {
    cwd: ROOT,
    env: { ...process.env, WHERRY_HOME: home },
    stdio: 'ignore',
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`the webhook program ended with ${code}`))
    })
  })
}

/** When the first pod of this run was seen to be Ready. */
async function untilReady(wherry: LocalWherry, mark: string): Promise<number> {
  const client = openKubeClient(wherry.ready.kubeconfig)
  const deadline = performance.now() + DEADLINE_MS
  while (performance.now() < deadline) {
    const path = '/api/v1/namespaces/default/pods?labelSelector=app%3Dgame'
    const { body } = await client.request('GET', path)
    const { items } = body as { items: PodStatus[] }
    const isReady = items.some(
      ({ metadata, status }) =>
        metadata.annotations?.['run'] === mark &&
        status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
    )
    if (isReady) return performance.now()
    await sleep(POLL_MS)
  }
  throw new Error(`no pod of ${mark} is Ready after ${DEADLINE_MS / 1000} s`)
}
