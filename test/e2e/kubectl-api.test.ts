// The real kubectl, newest and oldest that send protobuf, against the api function alone: no
// controllers, no nodes. What is checked is what people see, as kubectl prints it.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Pod } from '#shared/api/pod.ts'
import { seededMeta } from '#test/api.ts'
import { kubectl as kubectlPath } from '#test/clients.ts'
import { serveApi, type ServedApi } from '#test/serve-api.ts'

const VERSIONS = ['1.35', '1.32'] as const

function deployment(image: string, replicas = 2): string {
  return JSON.stringify({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web' },
    spec: {
      replicas,
      selector: { matchLabels: { run: 'web' } },
      template: {
        metadata: { labels: { run: 'web' } },
        spec: {
          containers: [
            {
              name: 'web',
              image,
              ports: [{ containerPort: 8080 }],
              env: [
                { name: 'A', value: '1' },
                { name: 'B', value: '2' },
              ],
            },
          ],
        },
      },
    },
  })
}

describe.each(VERSIONS)('kubectl %s', (version) => {
  let served: ServedApi
  beforeAll(async () => {
    served = await serveApi({
      probes: [
        { name: 'firestore', check: () => Promise.resolve('ok') },
        { name: 'pubsub', check: () => Promise.reject(new Error('connection refused')) },
      ],
    })
  })
  afterAll(async () => {
    // Nothing that a real client does may be a bug of ours.
    const bugs = served.api.log.entries.filter((entry) => entry.severity === 'ERROR')
    await served.close()
    expect(bugs).toEqual([])
  })

  /** Runs a command that must succeed and answers what it printed. */
  async function run(line: string, input?: string): Promise<string> {
    const { code, stdout, stderr } = await kubectl(line, input)
    expect(code, `kubectl ${line}\n${stdout}${stderr}`).toBe(0)
    return stdout
  }

  /** Runs a command that must fail and answers its complaint. */
  async function fail(line: string, input?: string): Promise<string> {
    const { code, stdout, stderr } = await kubectl(line, input)
    expect(code, `kubectl ${line}\n${stdout}${stderr}`).not.toBe(0)
    return stderr
  }

  const kubectl = (line: string, input?: string) =>
    served.kubectl(line.split(' '), { version, ...(input === undefined ? {} : { input }) })

  it('sees the server and what it serves', async () => {
    expect(await run('version')).toMatch(/^Server Version: v1\.33\.\d+/m)
    expect(await run('cluster-info')).toContain(`is running at`)
    expect(await run('api-versions')).toContain('apps/v1\n')
    const resources = await run('api-resources')
    expect(resources).toMatch(/^deployments +deploy +apps\/v1 +true +Deployment$/m)
    expect(resources).toMatch(/^pods +po +v1 +true +Pod$/m)
    expect(await run('get --raw /healthz')).toBe('ok')
    expect((await kubectl('get all -A')).stderr).toBe('No resources found\n')
  })

  it('shows who one is and what one may', async () => {
    expect(await run('auth whoami')).toContain('admin')
    expect(await run('auth can-i delete nodes')).toBe('yes\n')
    expect(await run('auth can-i --list')).toContain('*.*')
  })

  it('shows the parts of the control plane', async () => {
    const table = await run('get componentstatuses')
    expect(table).toMatch(/^firestore +Healthy +ok/m)
    expect(table).toMatch(/^pubsub +Unhealthy +connection refused/m)
  })

  it('creates, shows and deletes', async () => {
    expect(await run('create configmap c --from-literal=a=1 --from-literal=b=2')).toBe(
      'configmap/c created\n',
    )
    expect(await fail('create configmap c')).toBe(
      'error: failed to create configmap: configmaps "c" already exists\n',
    )
    expect(await run('get configmaps')).toMatch(/^NAME +DATA +AGE\nc +2 +\d+s\n$/)
    expect(await run('get cm c -o jsonpath={.data.a}')).toBe('1')
    expect(await run('get cm -o name')).toBe('configmap/c\n')
    expect(await run('create secret generic s --from-literal=password=x')).toContain('created')
    expect(await run('get secret s -o jsonpath={.data.password}')).toBe('eA==')
    expect(await run('create namespace other')).toBe('namespace/other created\n')
    expect(await run('get ns other')).toMatch(/^other +Active +\d+s$/m)
    expect(await run('create sa robot -n other')).toBe('serviceaccount/robot created\n')
    expect(await run('delete cm c')).toMatch(/^configmap "c" deleted/)
    expect(await fail('get cm c')).toBe('Error from server (NotFound): configmaps "c" not found\n')
    expect(await run('delete ns other --wait=false')).toBe('namespace "other" deleted\n')
    expect(await fail('create cm x -n other')).toContain('because it is being terminated')
    expect(await fail('delete ns default')).toContain('this namespace may not be deleted')
  })

  it('applies: created, unchanged, configured', async () => {
    expect(await run('apply -f -', deployment('web:1'))).toBe('deployment.apps/web created\n')
    expect(await run('apply -f -', deployment('web:1'))).toBe('deployment.apps/web unchanged\n')
    const { code, stdout } = await kubectl('diff -f -', deployment('web:2'))
    expect(code).toBe(1)
    expect(stdout).toMatch(/^-\s+- .*image: web:1|^-\s+image: web:1/m)
    expect(await run('apply -f -', deployment('web:2'))).toBe('deployment.apps/web configured\n')
    expect(await run('apply -f - --dry-run=server', deployment('web:3'))).toBe(
      'deployment.apps/web configured (server dry run)\n',
    )
    expect(await run('get deploy web -o jsonpath={..image}')).toBe('web:2')
    // An element of a list with a merge key goes when the manifest no longer has it.
    const less = deployment('web:2').replace(',{"name":"B","value":"2"}', '')
    await run('apply -f -', less)
    expect(await run('get deploy web -o jsonpath={..env[*].name}')).toBe('A')
  })

  it('refuses broken manifests with the names of the fields', async () => {
    const typo = deployment('web:2').replace('"replicas"', '"replicaz"')
    expect(await fail('apply -f -', typo)).toContain('unknown field "spec.replicaz"')
    expect(await fail('apply -f -', '{"apiVersion":"apps/v1","kind":"Deployment"}')).toContain(
      'name',
    )
    const empty = '{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"}}'
    const complaint = await fail('apply -f - --validate=false', empty)
    expect(complaint).toContain('The Deployment "x" is invalid:')
    expect(complaint).toContain('* spec.selector: Required value')
    expect(complaint).toContain('* spec.template.spec.containers: Required value')
    expect(await fail('apply -f -', deployment('web:2', -1))).toContain(
      'spec.replicas: Invalid value: -1: must be greater than or equal to 0',
    )
  })

  it('changes what is there', async () => {
    expect(await run('scale deployment web --replicas=5')).toBe('deployment.apps/web scaled\n')
    expect(await run('get deploy')).toMatch(/^web +0\/5 +0 +0 +\d+s$/m)
    expect(await run('set image deployment/web web=web:4')).toBe(
      'deployment.apps/web image updated\n',
    )
    expect(await run('label deploy web tier=front')).toBe('deployment.apps/web labeled\n')
    expect(await run('get deploy -l tier=front -o name')).toBe('deployment.apps/web\n')
    expect(await run('get deploy -l tier!=front -o name')).toBe('')
    expect(await run('label deploy web tier-')).toBe('deployment.apps/web unlabeled\n')
    expect(await run('annotate deploy web why=because')).toBe('deployment.apps/web annotated\n')
    const json = '[{"op":"replace","path":"/spec/replicas","value":3}]'
    expect(await run(`patch deploy web --type=json -p=${json}`)).toBe(
      'deployment.apps/web patched\n',
    )
    expect(await run('patch deploy web -p={"spec":{"replicas":3}}')).toBe(
      'deployment.apps/web patched (no change)\n',
    )
    expect(await run('rollout restart deploy/web')).toBe('deployment.apps/web restarted\n')
    expect(await run('rollout pause deploy/web')).toBe('deployment.apps/web paused\n')
    expect(await run('expose deploy web --port=80 --target-port=8080')).toBe(
      'service/web exposed\n',
    )
    expect(await run('get svc web')).toMatch(
      /^web +ClusterIP +\d+\.\d+\.\d+\.\d+ +<none> +80\/TCP/m,
    )
    const manifest = await run('get deploy web -o json')
    expect(await run('replace -f -', manifest)).toBe('deployment.apps/web replaced\n')
  })

  it('describes', async () => {
    const text = await run('describe deployment web')
    expect(text).toMatch(/^Replicas: +3 desired \| 0 updated \| 0 total/m)
    expect(text).toContain('Image:      web:4')
    expect(await run('explain deployment.spec.replicas')).toContain('FIELD: replicas <integer>')
    expect(await run('explain pod.spec.containers.env')).toContain('FIELD: env <[]EnvVar>')
  })

  it('runs a pod, looks at it and takes it away', async () => {
    expect(await run('run p --image=x --labels=run=p')).toBe('pod/p created\n')
    expect(await run('get pods')).toMatch(/^p +0\/1 +Pending +0 +\d+s$/m)
    expect(await run('get pods -o wide --sort-by=.metadata.name')).toMatch(/^p +0\/1 +Pending/m)
    expect(await run('get pods --field-selector=status.phase=Pending -o name')).toBe('pod/p\n')
    expect(await run('describe pod p')).toMatch(/^QoS Class: +BestEffort$/m)
    expect(await run('wait --for=jsonpath={.status.phase}=Pending pod/p --timeout=10s')).toBe(
      'pod/p condition met\n',
    )
    expect(await fail('wait --for=condition=Ready pod/p --timeout=1s')).toContain('timed out')
    expect(await run('events')).toBe('')
    expect(await run('delete pod p')).toMatch(/^pod "p" deleted/)
  })

  it('waits for what is deleted, and forces what does not go', async () => {
    const bound: Pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: seededMeta('bound', 'default'),
      spec: { nodeName: 'n', containers: [{ name: 'a', image: 'x' }] },
      status: { phase: 'Running' },
    }
    await served.api.seed(['pods', bound])
    expect((await kubectl('delete pod bound --timeout=1s')).code).toBe(1)
    expect(await run('get pod bound')).toMatch(/^bound +0\/1 +Terminating/m)
    expect(await run('delete pod bound --force --grace-period=0')).toMatch(
      /^pod "bound" force deleted/,
    )
  })

  it('watches', async () => {
    const child = spawn(
      kubectlPath(version),
      ['get', 'configmaps', '-w', '--no-headers', '--output-watch-events'],
      {
        env: { HOME: served.dir, KUBECONFIG: served.kubeconfig, PATH: process.env['PATH'] },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    const lines: string[] = []
    createInterface({ input: child.stdout }).on('line', (line) =>
      lines.push(line.split(/\s+/).slice(0, 2).join(' ')),
    )
    try {
      await run('create configmap first')
      await expect.poll(() => lines, { timeout: 20_000 }).toEqual(['ADDED first'])
      await run('label configmap first a=b')
      await run('create configmap second')
      await run('delete configmap first second')
      await expect
        .poll(() => lines, { timeout: 20_000 })
        .toEqual([
          'ADDED first',
          'MODIFIED first',
          'ADDED second',
          'DELETED first',
          'DELETED second',
        ])
    } finally {
      child.kill()
    }
  })

  it('pages through long lists', async () => {
    await served.api.seed(
      ...Array.from({ length: 1100 }, (_, index) => {
        const metadata = seededMeta(`many-${String(index).padStart(4, '0')}`, 'default')
        return ['configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata }] as [string, Pod]
      }),
    )
    const names = (await run('get configmaps -o name')).trim().split('\n')
    expect(names).toHaveLength(1100)
    expect(new Set(names).size).toBe(1100)
    await run('delete --raw /api/v1/namespaces/default/configmaps')
    expect(await run('get configmaps -o name')).toBe('')
  })

  it('applies on the server’s side', async () => {
    const own = (replicas: number): string =>
      deployment('web:1', replicas).replace(/"web"/g, '"ssa"')
    expect(await run('apply --server-side -f -', own(2))).toBe(
      'deployment.apps/ssa serverside-applied\n',
    )
    expect(await run('apply --server-side -f -', own(2))).toContain('serverside-applied')
    await run('scale deployment ssa --replicas=7')
    const conflict = await fail('apply --server-side -f -', own(2))
    expect(conflict).toContain('conflict with "kubectl"')
    expect(conflict).toContain('.spec.replicas')
    await run('apply --server-side --force-conflicts -f -', own(2))
    expect(await run('get deploy ssa -o jsonpath={.spec.replicas}')).toBe('2')
  })

  it('deletes everything', async () => {
    await run('delete deployments,services,configmaps,secrets --all')
    expect((await kubectl('get deployments,services,configmaps,secrets')).stderr).toBe(
      'No resources found in default namespace.\n',
    )
  })
})
