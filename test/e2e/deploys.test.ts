// The local story of deploys, as the README tells it: a git repository, one command, the app updates, is
// broken on purpose, goes back by itself and says why; and kubectl knows the kind.

import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createGitRepository, type GitRepository } from '../github/git-repository.ts'
import { runClient } from '../clients.ts'
import { startLocalWherry, type LocalWherry } from '../local-wherry.ts'

const ROOT = join(import.meta.dirname, '../..')
const TIMEOUT_MS = 120_000

let wherry: LocalWherry
let git: GitRepository

beforeAll(async () => {
  wherry = await startLocalWherry({ args: ['--nodes', '1'] })
  git = createGitRepository()
  cpSync(join(ROOT, 'examples/deploy-from-github/k8s'), join(git.folder, 'k8s'), {
    recursive: true,
  })
}, TIMEOUT_MS)

afterAll(async () => {
  git?.remove()
  await wherry?.dispose()
})

const program = (name: string, ...args: string[]): ReturnType<typeof runClient> =>
  runClient(
    'env',
    [`WHERRY_HOME=${wherry.home}`, process.execPath, `emulator/${name}.ts`, ...args],
    {
      home: wherry.home,
      cwd: ROOT,
      timeoutMs: 100_000,
    },
  )
const push = (): ReturnType<typeof runClient> =>
  program('webhook', git.folder, '--name', 'game', '--timeout', '90')
/** Short for what is broken, long for what a busy machine starts slowly. */
const allow = (seconds: number): Promise<string> =>
  wherry.mustKubectl(
    `patch repository game --type merge -p {"spec":{"rollout":{"timeoutSeconds":${seconds}}}}`,
  )
const KUSTOMIZATION = 'k8s/kustomization.yaml'
const kustomization = (tag: string, greeting: string): string => `resources: [game.yaml]
configMapGenerator: [{ name: game-settings, literals: ['GREETING=${greeting}'] }]
images: [{ name: dlops/tic-tac-toe, newTag: ${tag} }]
`

describe('npm run webhook', () => {
  test(
    'deploys the newest commit; the app answers',
    async () => {
      git.commit('the game', {})
      const { code, stdout, stderr } = await push()
      expect(code, stdout + stderr).toBe(0)
      const url = /http:\/\/\S+/.exec(stdout)?.[0]
      expect((await fetch(url ?? '')).status).toBe(200)
      expect(await wherry.mustKubectl('get repositories')).toMatch(
        /NAME +SOURCE +COMMIT +STATE +SUBJECT +AGE\ngame +local\/game@main +[0-9a-f]{7} +Healthy +the game/,
      )
    },
    TIMEOUT_MS,
  )

  test(
    'of a broken commit: the app goes back by itself and says why; the next commit runs',
    async () => {
      await allow(15)
      git.commit('broken on purpose', { [KUSTOMIZATION]: kustomization('broken', 'no') })
      const { code, stdout } = await push()
      expect(code).toBe(1)
      // Whether the phase in between is seen depends on when the program looks.
      expect(stdout).toMatch(
        /rolled back from .*pod "game-.*waits in (ErrImagePull|ImagePullBackOff)/,
      )
      expect(stdout).toMatch(/Healthy .* again/)
      expect(await wherry.mustKubectl('get deployment game -o jsonpath={..image}')).toBe(
        'dlops/tic-tac-toe:latest',
      )
      await allow(90)
      git.commit('repaired', { [KUSTOMIZATION]: kustomization('latest', 'again') })
      expect((await push()).code).toBe(0)
      expect(
        await wherry.mustKubectl('get repository game -o jsonpath={.status.deploy.subject}'),
      ).toBe('repaired')
      // By hand, with one command: the commit before.
      const back = await program(
        'repository',
        '--back',
        'game',
        '--kubeconfig',
        wherry.ready.kubeconfig,
      )
      expect(back.code, back.stderr).toBe(0)
      expect(back.stdout).toMatch(/^[0-9a-f]{7} again: rolled back from .* a person asked for it/)
    },
    TIMEOUT_MS,
  )
})

describe('kubectl', () => {
  test('explains the kind, and applies one', async () => {
    expect(await wherry.mustKubectl('explain repository.spec.rollout')).toContain('rollback')
    const manifest = `apiVersion: deploy.wherry.dev/v1
kind: Repository
metadata: { name: paused }
spec: { repository: owner/name, paused: true }
`
    expect(await wherry.mustKubectl('apply -f -', { input: manifest })).toContain(
      'repository.deploy.wherry.dev/paused created',
    )
    expect(await wherry.mustKubectl('apply -f -', { input: manifest })).toContain('unchanged')
    const { code, stderr } = await wherry.kubectl('apply -f -', {
      input: manifest.replace('owner/name', 'nonsense'),
    })
    expect(code).toBe(1)
    expect(stderr).toContain(
      'spec.repository: Invalid value: "nonsense": must be owner/name, as on GitHub',
    )
  })
})

test('npm run repository prints the webhook’s address and secret, once', async () => {
  const { code, stdout, stderr } = await program(
    'repository',
    'owner/shop',
    '--path',
    'k8s',
    '--kubeconfig',
    wherry.ready.kubeconfig,
  )
  expect(code, stderr).toBe(0)
  expect(stdout).toMatch(/Payload URL +http:\/\/127\.0\.0\.1:\d+\/github\/webhook\/c-[a-z0-9]+\n/)
  const secret = /Secret +(\S{43})/.exec(stdout)?.[1]
  const stored = await wherry.mustKubectl('get secret shop-webhook -o jsonpath={.data.secret}')
  expect(Buffer.from(stored, 'base64').toString()).toBe(secret)
})
