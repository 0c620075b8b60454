// The real agent on a real Docker Engine: what containers get of what their pods say. All pods are
// started at once; each test looks at its own.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type Docker from 'dockerode'
import { ImageCollector } from '#agent/runtime/docker/image-gc.ts'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import type { Container, PodSpec } from '#shared/api/pod.ts'
import { BOX, startTestEngine, whyNoEngine, type TestEngine } from '../../support/docker-engine.ts'
import { podOf, type World } from '../world.ts'
import { box, createDockerWorld, ended, logsOf, mount, ready, statusOf } from './docker-world.ts'

const why = whyNoEngine()
if (why) console.log(`test/agent/docker is not run here: ${why}`)

describe.skipIf(why)('a container on Docker', { timeout: 120_000 }, () => {
  let engine: TestEngine
  let world: World
  let hostFolder: string

  beforeAll(async () => {
    engine = await startTestEngine()
    world = await createDockerWorld(engine)
    hostFolder = join(world.stateDir, '../host')
    mkdirSync(hostFolder, { recursive: true })
    writeFileSync(join(hostFolder, 'given'), 'from the node\n')
    await world.want((desired) => {
      desired.configMaps.push({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'c', namespace: 'default', uid: 'c', creationTimestamp: '' },
        data: { key: 'one\n' },
      })
      desired.secrets.push({
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 's', namespace: 'default', uid: 's', creationTimestamp: '' },
        data: { key: Buffer.from('hush\n').toString('base64') },
      })
      for (const [name, spec] of Object.entries(pods(hostFolder))) {
        desired.pods.push(podOf(name, { restartPolicy: 'Never', ...spec }))
      }
    })
  }, 120_000)
  afterAll(async () => {
    await world?.close()
    await engine?.close()
  }, 60_000)

  test('has files, a name, an environment and an end of its own', async () => {
    await ended(world, 'plain')
    const [hostname, file, greeting, user, hosts, resolv] = (await logsOf(world, 'plain')).split(
      '\n',
    )
    expect([hostname, file, greeting, user]).toEqual(['plain', 'plain', 'hello', '0'])
    expect(hosts).toBe(`${world.status('plain')?.podIP}\tplain`)
    expect(resolv).toBe('nameserver 192.0.2.1')
    const status = statusOf(world, 'plain')
    expect(status?.state?.terminated).toMatchObject({ exitCode: 3, reason: 'Error' })
    expect(status?.state?.terminated?.message).toBe('last words\n')
    expect(status?.containerID).toMatch(/^docker:\/\/[0-9a-f]{64}$/)
    const node = world.reports.find((report) => report.node)?.node
    expect(node?.status?.nodeInfo?.['containerRuntimeVersion']).toMatch(/^docker:\/\/\d+/)
  })

  test('shares network, and processes where the pod says so; inits and sidecars come first', async () => {
    await ended(world, 'shared')
    expect(await logsOf(world, 'shared')).toBe('first\nsecond\n1\n')
    expect(world.status('shared')?.phase).toBe('Succeeded')
  })

  test('runs as who its security context says, with no more rights', async () => {
    await ended(world, 'secure')
    expect((await logsOf(world, 'secure')).trim().split('\n')).toEqual([
      'uid=1000(app) gid=3000 groups=3000,4000,5000',
      'read-only',
      'CapEff:\t0000000000000000',
      'NoNewPrivs:\t1',
      'Seccomp:\t2',
      'group 5000',
    ])
  })

  test('is refused privileges that the node does not give', async () => {
    const message = await waitingOf(world, 'privileged', 'CreateContainerConfigError')
    expect(message).toMatch(/^privileged containers are not allowed on this node/)
  })

  test('is killed above its memory limit, and the status says why', async () => {
    await ended(world, 'hungry')
    expect(statusOf(world, 'hungry')?.state?.terminated).toMatchObject({
      exitCode: 137,
      reason: 'OOMKilled',
    })
  })

  test('has the limits of its pod in its control groups', async () => {
    await ready(world, 'limited')
    const list = await engine.docker.listContainers({
      filters: { label: ['io.kubernetes.pod.name=limited', 'io.kubernetes.docker.type=container'] },
    })
    const { HostConfig } = await engine.docker.getContainer(list[0]?.Id ?? '').inspect()
    expect(HostConfig).toMatchObject({
      CpuShares: 256,
      CpuPeriod: 100_000,
      CpuQuota: 50_000,
      Memory: 64 * 2 ** 20,
      MemorySwap: 64 * 2 ** 20,
    })
    const summary: unknown = await (await world.ask('/stats/summary')).json()
    expect(summary).toMatchObject({
      pods: expect.arrayContaining([
        expect.objectContaining({
          podRef: expect.objectContaining({ name: 'limited' }),
          containers: [
            expect.objectContaining({
              name: 'box',
              memory: expect.objectContaining({ workingSetBytes: expect.any(Number) }),
            }),
          ],
        }),
      ]),
    })
  })

  test('sees its volumes: memory, the node’s files, and parts of them that lead nowhere else', async () => {
    await ended(world, 'volumes')
    expect((await logsOf(world, 'volumes')).trim().split('\n')).toEqual([
      'tmpfs 1048576',
      'from the node',
      'made',
      'one',
    ])
    const escaping = await waitingOf(world, 'escape', 'CreateContainerConfigError')
    expect(escaping).toBe('subpath "out" not within volume path')
    expect(world.events('FailedMount')).toContain(
      'MountVolume.SetUp failed for volume "v" : hostPath type check failed: /none is not a directory',
    )
  })

  test('that has written more than its pod may is evicted, and is told why', async () => {
    for (const [name, message] of [
      ['full', 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". '],
      ['wordy', 'Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. '],
    ] as const) {
      await ended(world, name)
      expect(world.status(name)).toMatchObject({ phase: 'Failed', reason: 'Evicted', message })
      expect(world.events('Evicted')).toContain(message)
    }
  })

  test('whose pod asks for an unsafe sysctl is never made', async () => {
    await ended(world, 'tuned')
    const forbidden = 'forbidden sysctl: "net.core.somaxconn" not allowlisted'
    expect(world.status('tuned')).toMatchObject({
      phase: 'Failed',
      reason: 'SysctlForbidden',
      message: `Pod was rejected: ${forbidden}`,
      containerStatuses: [],
    })
    expect(world.events('SysctlForbidden')).toEqual([forbidden])
  })

  test('has secrets in memory, not on the disk', async () => {
    await ended(world, 'secretive')
    expect(await logsOf(world, 'secretive')).toBe('tmpfs\ntmpfs\nhush\nhush\n')
  })

  test('that cannot be run has ended at once', async () => {
    await ended(world, 'nosuch')
    expect(statusOf(world, 'nosuch')?.state?.terminated).toMatchObject({
      exitCode: 128,
      reason: 'StartError',
      message: expect.stringMatching(/exec: "\/nosuch": .*no such file or directory/),
    })
  })

  test('of the node’s network has its address and name; probes reach it there', async () => {
    await ready(world, 'web')
    expect(world.status('web')?.podIP).toBe(world.status('web')?.hostIP)
  })

  test('keeps its image on a full disk; what nobody uses goes, the pause image stays', async () => {
    await ready(world, 'limited')
    const { docker } = engine
    const used = await docker.getImage(BOX).inspect()
    const nobody = await commitOf(docker)
    let now = 0
    const disk = { bytes: 100, usedBytes: 84 }
    const told: string[] = []
    const collector = new ImageCollector({
      docker,
      disk: async () => disk,
      log: createMemoryLog(),
      tell: (reason, message) => void told.push(`${reason}: ${message}`),
      now: () => now,
    })
    // First seen now, and the disk is not full.
    expect(await collector.collect()).toBe(0)
    disk.usedBytes = 86
    now += 60_000
    // Too new: it may be about to be used.
    await expect(collector.collect()).rejects.toThrow(
      'Attempted to free 6 bytes, but only found 0 bytes eligible to free.',
    )
    now += 3_600_000
    expect(await collector.collect()).toBe(1)
    expect(told.splice(0)).toEqual([
      expect.stringMatching(/^FreeDiskSpaceFailed: Failed to garbage collect required amount of/),
    ])
    // Again and again is what people hear of.
    await collector.tryCollect()
    await collector.tryCollect()
    expect(told.map((each) => each.split(':')[0])).toEqual([
      'FreeDiskSpaceFailed',
      'FreeDiskSpaceFailed',
      'ImageGCFailed',
    ])
    const left = (await docker.listImages()).map(({ Id }) => Id)
    expect(left).toContain(used.Id)
    expect(left).not.toContain(nobody)
    expect(left).toHaveLength(2)
  })

  test('is asked by exec probes and told by hooks', async () => {
    await ready(world, 'probed')
    expect(await logsOf(world, 'probed')).toBe('hooked\n')
    await world.want(({ pods: wanted }) => {
      const pod = wanted.find(({ metadata }) => metadata.name === 'probed')
      if (!pod) throw new Error('no pod')
      pod.metadata.deletionTimestamp = new Date().toISOString()
      pod.metadata.deletionGracePeriodSeconds = 20
    })
    await expect.poll(() => world.isGone('probed'), { timeout: 60_000 }).toBe(true)
    const left = await engine.docker.listContainers({
      all: true,
      filters: { label: ['io.kubernetes.pod.name=probed'] },
    })
    expect(left).toEqual([])
  })
})

/** Another image, which no container uses. */
async function commitOf(docker: Docker): Promise<string> {
  const made = await docker.createContainer({ Image: BOX, Cmd: ['true'] })
  await made.commit({ repo: 'test/nobody', tag: '1' })
  await made.remove()
  return (await docker.getImage('test/nobody:1').inspect()).Id
}

async function waitingOf(world: World, name: string, reason: string): Promise<string> {
  const message = (): string | undefined => {
    const waiting = statusOf(world, name)?.state?.waiting
    return waiting?.reason === reason ? waiting.message : undefined
  }
  await expect.poll(message, { timeout: 90_000 }).toBeDefined()
  return message() ?? ''
}

/** On a machine with much else to do a command takes its time. */
const PATIENT = { periodSeconds: 1, timeoutSeconds: 60, failureThreshold: 60 }

type Spec = Partial<PodSpec> & Pick<PodSpec, 'containers'>

function pods(hostFolder: string): Record<string, Spec> {
  const v = mount('/v')
  const one = (script: string, more: Partial<Container> = {}): { containers: Container[] } => ({
    containers: [box(script, more)],
  })
  return {
    plain: {
      ...one(
        'hostname; cat /etc/hostname; echo $GREETING; id -u; grep plain /etc/hosts; ' +
          'cat /etc/resolv.conf; echo last words > /dev/termination-log; exit 3',
        { env: [{ name: 'GREETING', value: 'hello' }] },
      ),
      dnsPolicy: 'None',
      dnsConfig: { nameservers: ['192.0.2.1'] },
    },
    shared: {
      shareProcessNamespace: true,
      initContainers: [
        box('echo first > /v/order', { name: 'init', volumeMounts: v }),
        box('echo second >> /v/order; exec httpd -f -p 80 -h /v', {
          name: 'side',
          restartPolicy: 'Always',
          volumeMounts: v,
          startupProbe: {
            exec: { command: ['wget', '-qO-', 'http://127.0.0.1/order'] },
            ...PATIENT,
          },
        }),
      ],
      ...one('wget -qO- http://127.0.0.1/order; ps | grep -c "[h]ttpd -f"'),
      volumes: [{ name: 'v', emptyDir: {} }],
    },
    secure: {
      securityContext: {
        runAsUser: 1000,
        runAsGroup: 3000,
        supplementalGroups: [4000],
        fsGroup: 5000,
      },
      ...one(
        'id; touch /tmp/x 2>/dev/null || echo read-only; grep CapEff /proc/self/status; ' +
          'grep -E "NoNewPrivs|Seccomp:" /proc/self/status; touch /v/x; stat -c "group %g" /v/x',
        {
          volumeMounts: v,
          securityContext: {
            readOnlyRootFilesystem: true,
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
          },
        },
      ),
      volumes: [{ name: 'v', emptyDir: {} }],
    },
    privileged: one('true', { securityContext: { privileged: true } }),
    // The kernel kills what writes more into memory than it may.
    hungry: one('exec tail /dev/zero', { resources: { limits: { memory: '16Mi' } } }),
    limited: one('exec sleep 1000', {
      resources: { requests: { cpu: '250m' }, limits: { cpu: '500m', memory: '64Mi' } },
    }),
    volumes: {
      ...one(
        `awk '$2=="/m"{print $3}' /proc/mounts | tr '\\n' ' '; ` +
          `df -k /m | awk 'END{print $2*1024}'; cat /h/given; cat /part; cat /key`,
        {
          volumeMounts: [
            ...mount('/m', { name: 'memory' }),
            ...mount('/h', { readOnly: true }),
            ...mount('/part', { name: 'scratch', subPathExpr: '$(PART)/file' }),
            ...mount('/key', { name: 'c', subPath: 'key' }),
          ],
          env: [{ name: 'PART', value: 'below' }],
        },
      ),
      initContainers: [
        box('mkdir /s/below; echo made > /s/below/file', {
          name: 'make',
          volumeMounts: mount('/s', { name: 'scratch' }),
        }),
      ],
      volumes: [
        { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
        { name: 'scratch', emptyDir: {} },
        { name: 'v', hostPath: { path: hostFolder, type: 'Directory' } },
        { name: 'c', configMap: { name: 'c' } },
      ],
    },
    full: {
      ...one('dd if=/dev/zero of=/v/big bs=1M count=3; exec sleep 1000', { volumeMounts: v }),
      volumes: [{ name: 'v', emptyDir: { sizeLimit: '1Mi' } }],
    },
    wordy: one('dd if=/dev/zero of=/tmp/big bs=1M count=3; exec sleep 1000', {
      resources: { limits: { 'ephemeral-storage': '1Mi' } },
    }),
    tuned: {
      ...one('true'),
      securityContext: { sysctls: [{ name: 'net.core.somaxconn', value: '1024' }] },
    },
    secretive: {
      ...one(`awk '$2=="/s" || $2=="/p"{print $3}' /proc/mounts; cat /s/key /p/key`, {
        volumeMounts: [...mount('/s', { name: 's' }), ...mount('/p', { name: 'p' })],
      }),
      volumes: [
        { name: 's', secret: { secretName: 's' } },
        { name: 'p', projected: { sources: [{ secret: { name: 's' } }] } },
      ],
    },
    escape: {
      initContainers: [box('ln -s /etc /v/out', { name: 'link', volumeMounts: v })],
      ...one('true', { volumeMounts: mount('/v', { subPath: 'out' }) }),
      volumes: [{ name: 'v', emptyDir: {} }],
    },
    unmounted: {
      ...one('true'),
      volumes: [{ name: 'v', hostPath: { path: '/none', type: 'Directory' } }],
    },
    nosuch: { containers: [{ name: 'box', image: box('').image ?? '', command: ['/nosuch'] }] },
    web: {
      hostNetwork: true,
      ...one('exec httpd -f -p $HOST:$PORT -h /etc', {
        ports: [{ containerPort: 8080 }],
        readinessProbe: { httpGet: { path: '/passwd', port: 8080 }, periodSeconds: 1 },
      }),
    },
    probed: {
      terminationGracePeriodSeconds: 20,
      ...one('trap exit TERM; until [ -e /tmp/stop ]; do sleep 1; done', {
        lifecycle: {
          postStart: { exec: { command: ['sh', '-c', 'echo hooked > /proc/1/fd/1'] } },
          preStop: { exec: { command: ['touch', '/tmp/stop'] } },
        },
        readinessProbe: { exec: { command: ['test', '-d', '/tmp'] }, ...PATIENT },
      }),
    },
  }
}
