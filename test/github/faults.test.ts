// A deploy while something breaks: the function dies at any step, GitHub is away or has had enough,
// somebody pushes without pause. Nothing is half applied, and in the end what Git says runs.

import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Deployment } from '#shared/api/deployment.ts'
import type { ConfigMap } from '#shared/api/config.ts'
import type { Store } from '#shared/ports/store.ts'
import { createGitRepository, type GitRepository } from './git-repository.ts'
import {
  appManifest,
  CLUSTER,
  createWorld,
  withCommit,
  type World,
  type WorldOptions,
} from './world.ts'

let world: World | undefined

afterEach(async () => {
  await world?.close()
  world = undefined
})

async function imageOf(here: World): Promise<string | undefined> {
  const deployment = (await here.get('deployments.apps', 'web')) as Deployment | undefined
  return deployment?.spec.template.spec.containers[0]?.image
}

const config = (version: number): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: version }\ndata: { version: '${version}' }\n`

/** Lets a process die at its nth step, a request to GitHub or a commit, and stay dead until revived. */
class Death {
  at = Number.POSITIVE_INFINITY
  steps = 0
  isDead = false

  step(): void {
    if (this.isDead || ++this.steps === this.at) {
      this.isDead = true
      throw new Error('the process has died')
    }
  }

  store(store: Store, when: 'before' | 'after'): Store {
    return withCommit(store, async (cluster, commit) => {
      if (when === 'before' || this.isDead) this.step()
      const revision = await store.commit(cluster, commit)
      if (when === 'after') this.step()
      return revision
    })
  }
}

interface TwoCommits {
  git: GitRepository
  first: string
  second: string
}

/** Made once for all deaths: git is a program, and starting it takes its time. */
function twoCommits(): TwoCommits {
  const git = createGitRepository()
  const files = (version: number): Record<string, string> => ({
    'k8s/app.yaml': appManifest(`web:${version}`),
    'k8s/v.yaml': config(version),
  })
  return { git, first: git.commit('first', files(1)), second: git.commit('second', files(2)) }
}

describe.each(['before', 'after'] as const)('the function dies %s a step', (when) => {
  async function run(
    at: number,
    { git, first, second }: TwoCommits,
  ): Promise<{ wasReached: boolean; here: World }> {
    const death = new Death()
    const options: WorldOptions = {
      git,
      spec: { path: 'k8s' },
      store: (store) => death.store(store, when),
      beforeFetch: () => death.step(),
    }
    const here = await createWorld(options)
    world = here
    git.git('update-ref', 'refs/heads/main', first)
    await here.push(first)
    await here.settle()
    git.git('update-ref', 'refs/heads/main', second)
    await here.push(second)
    death.steps = 0
    death.at = at
    await here.settle().catch(() => undefined)
    const image = await imageOf(here)
    const map: ConfigMap | undefined = await here.get('configmaps', 'version')
    const version = map?.data?.['version']
    expect(`web:${version}`, `after dying at step ${at}`).toBe(image)
    const wasReached = death.isDead
    death.isDead = false
    death.at = Number.POSITIVE_INFINITY
    here.restart()
    await here.settle()
    return { wasReached, here }
  }

  test('whichever it is: all or nothing at once, and the next run finishes it', async () => {
    const commits = twoCommits()
    onTestFinished(() => commits.git.remove())
    for (let at = 1; ; at++) {
      const { wasReached, here } = await run(at, commits)
      expect(await imageOf(here), `step ${at}`).toBe('web:2')
      const { status } = await here.repository()
      expect(status, `step ${at}`).toMatchObject({ deploy: { phase: 'Healthy' } })
      expect(status?.outbox).toBeUndefined()
      expect(here.hub.statuses.at(-1)).toMatchObject({ state: 'success' })
      expect(here.hub.deployments).toHaveLength(2)
      await here.close()
      world = undefined
      if (!wasReached) {
        expect(at).toBeGreaterThan(10)
        return
      }
    }
  }, 120_000)
})

describe('GitHub', () => {
  test('is down for an hour: what runs goes on, the push is deployed when it is back', async () => {
    let isAway = false
    const here = await createWorld({
      spec: { path: 'k8s' },
      fault: () => (isAway ? new Response('', { status: 503 }) : undefined),
    })
    world = here
    here.git.commit('first', { 'k8s/app.yaml': appManifest('web:1') })
    await here.push('first')
    await here.settle()
    isAway = true
    here.git.commit('second', { 'k8s/app.yaml': appManifest('web:2') })
    await here.push('second')
    await here.settle()
    const asked = here.github.requests.length
    for (let minute = 0; minute < 60; minute++) {
      await here.clock.advance(60_000)
      await here.settle()
    }
    const { status } = await here.repository()
    expect(status?.retry?.message).toContain('GitHub answers 503')
    expect(await imageOf(here)).toBe('web:1')
    // It was asked again ever more seldom.
    expect(here.github.requests.length - asked).toBeLessThan(40)
    isAway = false
    await here.clock.advance(5 * 60_000 + 1000)
    await here.settle()
    expect(await imageOf(here)).toBe('web:2')
    expect((await here.repository()).status?.retry).toBeUndefined()
  })

  test('has had enough: it is asked again when it has said, not before', async () => {
    const here = await createWorld({ spec: { path: 'k8s' }, rateLimit: 3 })
    world = here
    here.git.commit('first', { 'k8s/app.yaml': appManifest('web:1') })
    await here.push('first')
    await here.settle()
    const { status } = await here.repository()
    expect(status?.retry?.message).toContain('rate limit')
    const count = here.github.requests.length
    await here.clock.advance(30 * 60_000)
    await here.settle()
    expect(here.github.requests).toHaveLength(count)
  })

  test('redirects the archive elsewhere: it is not fetched from there', async () => {
    const here = await createWorld({
      spec: { path: 'k8s' },
      fault: (_method, path) =>
        path.includes('/tarball/')
          ? new Response(null, { status: 302, headers: { location: 'http://169.254.169.254/x' } })
          : undefined,
    })
    world = here
    here.git.commit('first', { 'k8s/app.yaml': appManifest('web:1') })
    await here.push('first')
    await here.settle()
    const { status } = await here.repository()
    expect(status?.conditions?.[0]?.message).toBe('GitHub redirects the archive to 169.254.169.254')
    expect(await imageOf(here)).toBeUndefined()
  })
})

test('300 objects are one commit', async () => {
  const here = await createWorld({ spec: { path: 'k8s' } })
  world = here
  const files = Object.fromEntries(
    Array.from({ length: 300 }, (_, index) => [
      `k8s/${index}.yaml`,
      config(index).replace('name: version', `name: c-${index}`),
    ]),
  )
  here.git.commit('many', files)
  await here.push('many')
  const before = (await here.live.catchUp()).version
  await here.settle()
  const history = await here.live.history(before)
  const deploys = history.filter(({ cause }) => cause.verb === 'deploy')
  expect(deploys).toHaveLength(1)
  // And the release that is kept, and the Repository.
  expect(deploys[0]?.changes).toHaveLength(302)
  expect((await here.repository()).status?.deploy).toMatchObject({ phase: 'Healthy', objects: 300 })
})

test('two pushes a second for a minute, two instances: the newest wins, none goes back, none is mixed', async () => {
  const here = await createWorld({ spec: { path: 'k8s' } })
  world = here
  const second = here.another()
  const start = (await here.live.catchUp()).version
  const runs: Promise<void>[] = []
  for (let count = 1; count <= 120; count++) {
    const commit = here.git.commit(`${count}`, {
      'k8s/app.yaml': appManifest(`web:${count}`),
      'k8s/v.yaml': config(count),
    })
    expect((await here.push(commit)).status).toBe(202)
    for (const instance of [here.deploys, second]) runs.push(instance.handle(CLUSTER))
    await here.clock.advance(500)
  }
  await Promise.all(runs)
  await here.settle()
  expect(await imageOf(here)).toBe('web:120')
  let newest = 0
  for (const { cause, changes } of await here.live.history(start)) {
    if (cause.verb !== 'deploy') continue
    const find = (key: string): unknown => changes.find((change) => change.key === key)?.after
    const deployment = find('deployments.apps/default/web') as Deployment | undefined
    const map = find('configmaps/default/version') as ConfigMap | undefined
    const version = Number(map?.data?.['version'])
    expect(deployment?.spec.template.spec.containers[0]?.image).toBe(`web:${version}`)
    expect(version).toBeGreaterThan(newest)
    newest = version
  }
  expect((await here.repository()).status?.deploy).toMatchObject({
    subject: '120',
    phase: 'Healthy',
  })
}, 120_000)

describe('Git holds something bad: nothing of it is applied, and GitHub hears why:', () => {
  const billion = `a: &a [x,x,x,x,x,x,x,x,x]
${['b', 'c', 'd', 'e', 'f', 'g', 'h']
  .map((name, index) => {
    const alias = `*${'abcdefgh'[index]}`
    return `${name}: &${name} [${Array.from({ length: 9 }, () => alias).join(',')}]`
  })
  .join('\n')}
`
  const cases: [string, (git: GitRepository) => void, string][] = [
    [
      'a text that repeats itself without end',
      (git) => void git.commit('bomb', { 'k8s/b.yaml': billion }),
      'k8s/b.yaml: Excessive alias count indicates a resource exhaustion attack',
    ],
    [
      'an object with __proto__',
      (git) =>
        void git.commit('proto', {
          'k8s/b.yaml':
            'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: b }\n"__proto__": { polluted: yes }\n',
        }),
      'unknown field "__proto__"',
    ],
    [
      'a manifest larger than any',
      (git) => void git.commit('large', { 'k8s/b.yaml': `# ${'x'.repeat(1_100_000)}` }),
      'k8s/b.yaml: has 1100002 bytes, at most 1048576',
    ],
    [
      'a link to the machine’s files',
      (git) => {
        git.link('k8s/b.yaml', '/etc/passwd')
        git.commit('link', {})
      },
      'k8s/b.yaml: is a link, and links are not followed',
    ],
    [
      'a kustomization that leads out',
      (git) => void git.commit('out', { 'k8s/kustomization.yaml': 'resources: [../../etc]\n' }),
      'leads out of the repository',
    ],
    [
      'a thousand and one objects',
      (git) =>
        void git.commit('many', {
          'k8s/b.yaml': Array.from({ length: 1001 }, (_, index) =>
            config(index).replace('name: version', `name: c-${index}`),
          ).join('---\n'),
        }),
      'objects, at most 1000',
    ],
  ]

  test.each(cases)(
    '%s',
    async (_, commit, why) => {
      const here = await createWorld({ spec: { path: 'k8s' } })
      world = here
      here.git.commit('first', { 'k8s/app.yaml': appManifest('web:1') })
      await here.push('first')
      await here.settle()
      here.git.commit('second', { 'k8s/app.yaml': appManifest('web:2') })
      commit(here.git)
      await here.push('second')
      await here.settle()
      expect(await imageOf(here)).toBe('web:1')
      const { status } = await here.repository()
      expect(status?.deploy?.phase).toBe('Refused')
      expect(status?.deploy?.message).toContain(why)
      expect(here.hub.statuses.at(-1)).toMatchObject({ state: 'failure' })
      expect(here.log.entries.filter(({ severity }) => severity === 'ERROR')).toEqual([])
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
    },
    120_000,
  )

  test('an archive that unpacks to more than the world: stopped while it is read', async () => {
    // Half a gigabyte and more of zeros, packed into half a megabyte.
    const bomb = gzipSync(Buffer.alloc(4_000_000))
    const here = await createWorld({
      spec: { path: 'k8s' },
      fault: (_method, path) =>
        path.startsWith('/codeload') ? new Response(repeated(bomb, 140)) : undefined,
    })
    world = here
    here.git.commit('first', { 'k8s/app.yaml': appManifest('web:1') })
    await here.push('first')
    await here.settle()
    expect((await here.repository()).status?.deploy).toMatchObject({ phase: 'Refused' })
    expect((await here.repository()).status?.deploy?.message).toMatch(/the archive/)
    expect(await imageOf(here)).toBeUndefined()
  }, 120_000)
})

/** The same gzip member again and again: one stream, as gzip allows. */
function repeated(bytes: Uint8Array, times: number): ReadableStream<Uint8Array> {
  let count = 0
  return new ReadableStream({
    pull(controller) {
      if (count++ < times) controller.enqueue(bytes)
      else controller.close()
    },
  })
}
