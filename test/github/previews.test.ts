// Pull requests: a preview with a namespace of its own, bounded, on spot VMs, told in one comment; and
// what is different for forks.

import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Deployment } from '#shared/api/deployment.ts'
import { LAST_WORDS, mergeWords, type LastWords } from '#shared/api/last-words.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { PreviewPolicy } from '#shared/api/repository.ts'
import type { ResourceQuota } from '#shared/api/resource-quota.ts'
import { meta } from '../support/objects.ts'
import { appManifest, createWorld, type World } from './world.ts'

// Each world starts git several times, which a busy machine is slow at.
vi.setConfig({ testTimeout: 120_000 })

const worlds: World[] = []

afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
})

const NAMESPACE = 'default-web-pr-7'

async function deploymentOf(world: World, namespace = NAMESPACE): Promise<Deployment | undefined> {
  return (await world.get('deployments.apps', 'web', namespace)) as Deployment | undefined
}

async function imageOf(world: World, namespace = NAMESPACE): Promise<string | undefined> {
  return (await deploymentOf(world, namespace))?.spec.template.spec.containers[0]?.image
}

const pull = (action: string, more: object = {}): [string, object] => [
  'pull_request',
  { action, number: 7, repository: { full_name: 'local/web' }, ...more },
]

interface Options {
  labels?: string[]
  from?: string
  policy?: PreviewPolicy
  manifest?: string
}

/** The branch runs web:1; pull request 7 wants web:feature. */
async function withPull(options: Options = {}): Promise<World> {
  const { labels = ['preview'], from, policy } = options
  const world = await createWorld({
    spec: { path: 'k8s', previews: { label: 'preview', ttlHours: 24, ...policy } },
  })
  worlds.push(world)
  await world.create('secrets', {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: meta('database'),
    type: 'Opaque',
    data: { password: 'aHVudGVyMg==' },
  } as never)
  await world.push(world.git.commit('first', { 'k8s/app.yaml': priced('web:1', '100m') }))
  await world.settle()
  world.git.git('checkout', '-q', '-b', 'feature')
  world.git.commit('feature', {
    'k8s/app.yaml': options.manifest ?? priced('web:feature', '600m'),
  })
  world.hub.pulls.push({
    number: 7,
    state: 'open',
    title: 'Feature @everyone',
    branch: 'feature',
    labels,
    ...(from ? { from } : {}),
  })
  await world.deliver(...pull('opened'))
  await world.settle()
  return world
}

/** As its node has told when the container ended: kept in the control plane, whatever becomes of the VM. */
function wordsOf(pod: Pod, now: number): LastWords {
  const text = 'Error: no such table: games ~~~ <!-- '
  const log = `2026-11-22T12:00:01.000000000Z stderr F ${text}\n`
  const ended = { containerID: 'run-1', exitCode: 1, reason: 'Error', log }
  return mergeWords(undefined, pod, { web: ended }, now)
}

/** The usual app, which asks for CPU. */
function priced(image: string, cpu: string): string {
  return appManifest(image).replace(
    `image: '${image}'`,
    `image: '${image}', resources: { requests: { cpu: ${cpu}, memory: 1Gi } }`,
  )
}

describe('a preview', () => {
  test('has a namespace and one comment, and goes with the pull request', async () => {
    const world = await withPull()
    expect(await imageOf(world)).toBe('web:feature')
    expect(await imageOf(world, 'default')).toBe('web:1')
    expect(world.hub.comments).toHaveLength(1)
    const said = world.hub.comments[0]?.body ?? ''
    expect(said).toMatch(/^<!-- wherry:web -->\n\*\*Healthy\*\*: [0-9a-f]{7} Feature everyone/)
    // What changed, where it runs, what it costs.
    expect(said).toContain(`+ deployments.apps/${NAMESPACE}/web`)
    expect(said).toContain(`Runs in namespace ${NAMESPACE}: 2 pods on vm-1`)
    expect(said).toMatch(
      /Cost: \+\$15\.92 a month when merged \(\$7\.45 → \$23\.3\d\); this preview/,
    )
    world.git.commit('more', { 'k8s/app.yaml': appManifest('web:feature2') })
    await world.deliver(...pull('synchronize'))
    await world.settle()
    expect(await imageOf(world)).toBe('web:feature2')
    expect(world.hub.comments).toHaveLength(1)
    world.hub.pulls[0]!.state = 'closed'
    await world.deliver(...pull('closed'))
    await world.settle()
    expect(await world.get('namespaces', NAMESPACE, '')).toBeUndefined()
    expect(await imageOf(world, 'default')).toBe('web:1')
    expect(world.hub.comments[0]?.body).toContain(
      'The preview is gone: the pull request is closed.',
    )
    expect(
      world.hub.deployments
        .findLast(({ environment }) => environment === 'preview-7')
        ?.statuses.at(-1)?.state,
    ).toBe('inactive')
    expect((await world.repository()).status?.previews).toBeUndefined()
  })

  test('is not there without the label', async () => {
    const world = await withPull({ labels: [] })
    expect(await world.get('namespaces', NAMESPACE, '')).toBeUndefined()
    expect((await world.repository()).status?.previews).toBeUndefined()
    expect(world.hub.comments).toEqual([])
  })

  test('ends when its time is up', async () => {
    const world = await withPull()
    await world.clock.advance(24 * 3_600_000 + 1000)
    await world.settle()
    expect(await world.get('namespaces', NAMESPACE, '')).toBeUndefined()
  })

  test('that fails shows the failing pod’s last lines', async () => {
    const world = await withPull()
    world.broken.add('web:bad')
    world.git.commit('bad', { 'k8s/app.yaml': appManifest('web:bad') })
    await world.deliver(...pull('synchronize'))
    await world.settle()
    const pods = (await world.list('pods', NAMESPACE)) as readonly Pod[]
    for (const pod of pods.filter(({ spec }) => spec.containers[0]?.image === 'web:bad')) {
      await world.create(LAST_WORDS, wordsOf(pod, world.clock.now()))
    }
    await world.clock.advance(61_000)
    await world.settle()
    const said = world.hub.comments[0]?.body ?? ''
    expect(said).toContain('**Failed**')
    expect(said).toContain('Error: no such table: games ~ ~ ~')
    expect(said).toContain('CrashLoopBackOff')
  })

  test('prefers spot VMs and bears their taint, which the branch does not', async () => {
    const world = await withPull()
    const spec = (await deploymentOf(world))?.spec.template.spec
    expect(spec?.tolerations).toContainEqual({
      key: 'cloud.google.com/gke-spot',
      operator: 'Equal',
      value: 'true',
      effect: 'NoSchedule',
    })
    const preferred =
      spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []
    expect(preferred[0]?.preference.matchExpressions?.[0]?.key).toBe('cloud.google.com/gke-spot')
    const main = (await deploymentOf(world, 'default'))?.spec.template.spec
    expect(main?.affinity).toBeUndefined()
  })

  test('has a quota: what is beyond it is not made, and the pull request hears why', async () => {
    const world = await withPull({ policy: { quota: { pods: '1' } } })
    const quota = (await world.get('resourcequotas', 'preview', NAMESPACE)) as ResourceQuota
    expect(quota.status).toEqual({ hard: { pods: '1' }, used: { pods: '1' } })
    expect(await world.list('pods', NAMESPACE)).toHaveLength(1)
    await world.clock.advance(61_000)
    await world.settle()
    expect(world.hub.comments[0]?.body).toContain('exceeded quota: preview, requested: pods=1')
  })

  test('whose objects are too many for the quota is refused as a whole', async () => {
    const world = await withPull({ policy: { quota: { services: '0' } } })
    expect(await deploymentOf(world)).toBeUndefined()
    expect(world.hub.comments[0]?.body).toContain(
      'exceeded quota: preview, requested: services=1, used: services=0, limited: services=0',
    )
  })

  test('gets the Secrets that the Repository lends it', async () => {
    const world = await withPull({ policy: { secrets: ['database', 'missing'] } })
    expect(await world.get('secrets', 'database', NAMESPACE)).toMatchObject({
      data: { password: 'aHVudGVyMg==' },
    })
  })
})

describe('a fork', () => {
  const fork: Options = {
    from: 'mallory/web',
    policy: { forks: 'Approved', secrets: ['database'] },
  }

  async function approve(world: World, sha = world.git.git('rev-parse', 'feature')): Promise<void> {
    world.hub.pulls[0]!.labels = ['preview', 'preview-approved']
    const payload = { label: { name: 'preview-approved' }, pull_request: { head: { sha } } }
    await world.deliver(...pull('labeled', payload))
    await world.settle()
  }

  test('gets none, whatever its label', async () => {
    const world = await withPull({ from: 'mallory/web' })
    await approve(world)
    expect(await world.get('namespaces', NAMESPACE, '')).toBeUndefined()
    expect(world.hub.comments).toEqual([])
  })

  test('gets one for the commit that was approved, without Secrets; a push ends it', async () => {
    const world = await withPull(fork)
    expect(await world.get('namespaces', NAMESPACE, '')).toBeUndefined()
    await approve(world)
    expect(await imageOf(world)).toBe('web:feature')
    expect(await world.get('secrets', 'database', NAMESPACE)).toBeUndefined()
    world.git.commit('evil', { 'k8s/app.yaml': appManifest('web:evil') })
    await world.deliver(...pull('synchronize'))
    await world.settle()
    expect(await world.get('namespaces', NAMESPACE, '')).toBeUndefined()
    expect(world.hub.comments[0]?.body).toContain('this commit is not approved')
    await approve(world)
    expect(await imageOf(world)).toBe('web:evil')
  })

  test('is not approved by the approval of an older commit that arrives late', async () => {
    const world = await withPull(fork)
    const seen = world.git.git('rev-parse', 'feature')
    world.git.commit('evil', { 'k8s/app.yaml': appManifest('web:evil') })
    await approve(world, seen)
    expect(await world.get('namespaces', NAMESPACE, '')).toBeUndefined()
  })

  test('may not reach out of its containers', async () => {
    const manifest = appManifest('web:feature').replace(
      'spec:\n      containers',
      'spec:\n      hostNetwork: true\n      volumes: [{ name: d, hostPath: { path: / } }]\n      containers',
    )
    const world = await withPull({ ...fork, manifest })
    await approve(world)
    expect(await deploymentOf(world)).toBeUndefined()
    expect(world.hub.comments[0]?.body).toContain(
      'Deployment "web": hostNetwork; Deployment "web": hostPath: not in a preview of a fork',
    )
  })
})
