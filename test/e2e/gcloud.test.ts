// The lecture's tutorial from its first to its last line with the real gcloud and the kubectl that
// comes with it; and what goes wrong in it. Needs gcloud on this machine.

import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually, startLocalWherry, type LocalWherry } from '../local-wherry.ts'

const ROOT = join(import.meta.dirname, '../..')
const HAS_GCLOUD = isThere('gcloud') && isThere('gke-gcloud-auth-plugin') && isThere('kubectl')

function isThere(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

interface Result {
  code: number | null
  stdout: string
  stderr: string
}

let wherry: LocalWherry
const home = mkdtempSync(join(tmpdir(), 'wherry-gcloud-'))

/** A line of the tutorial, in a shell set up as `npm start` says. */
function run(line: string, env: Record<string, string> = {}): Promise<Result> {
  return new Promise((resolve) => {
    const child = spawn('bash', ['-c', line], {
      cwd: ROOT,
      env: {
        ...process.env,
        HOME: home,
        // The system's kubectl, not a package's: gcloud's own dispatches by the server's version.
        CLOUDSDK_CONFIG: join(wherry.home, 'gcloud'),
        CLOUDSDK_ACTIVE_CONFIG_NAME: 'wherry',
        KUBECONFIG: join(home, 'kubeconfig'),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    const timer = setTimeout(() => child.kill('SIGKILL'), 120_000)
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code, stdout, stderr })
    })
  })
}

async function must(line: string): Promise<Result> {
  const result = await run(line)
  if (result.code !== 0)
    throw new Error(`${line} → ${result.code}\n${result.stdout}${result.stderr}`)
  return result
}

describe.skipIf(!HAS_GCLOUD)('with the real gcloud', () => {
  beforeAll(async () => {
    wherry = await startLocalWherry({ args: ['--empty'] })
  }, 120_000)
  afterAll(async () => {
    await wherry?.dispose()
    rmSync(home, { recursive: true, force: true })
  }, 150_000)

  test('gcloud container clusters create test-cluster --num-nodes 2 --zone us-east1-c', async () => {
    const { stdout, stderr } = await must(
      'gcloud container clusters create test-cluster --num-nodes 2 --zone us-east1-c',
    )
    expect(stderr).toContain('Creating cluster test-cluster in us-east1-c...')
    expect(stderr).toContain('kubeconfig entry generated for test-cluster.')
    const [header, row] = stdout.trim().split('\n')
    expect(header).toMatch(
      /^NAME\s+LOCATION\s+MASTER_VERSION\s+MASTER_IP\s+MACHINE_TYPE\s+NODE_VERSION\s+NUM_NODES\s+STATUS$/,
    )
    expect(row).toMatch(
      /^test-cluster\s+us-east1-c\s+1\.33\S+\s+127\.0\.0\.1:\d+\s+e2-medium\s+1\.33\S+\s+2\s+RUNNING$/,
    )
  }, 150_000)

  test('kubectl, as the tutorial goes on', async () => {
    expect((await must('kubectl version')).stdout).toMatch(/Server Version: v1\.33/)
    expect((await must('kubectl get all')).stdout).toContain('service/kubernetes')
    expect((await must('kubectl get all --all-namespaces')).stdout).toContain('service/kubernetes')
    expect((await must('kubectl get componentstatuses')).stdout.match(/Healthy/g)).toHaveLength(4)
    const nodes = (await must('kubectl get nodes --no-headers')).stdout.trim().split('\n')
    expect(nodes).toHaveLength(2)
    for (const node of nodes) expect(node).toMatch(/^gke-test-cluster-default-pool-\S+\s+Ready/)
    expect((await must('kubectl get pods')).stderr).toContain(
      'No resources found in default namespace.',
    )
  }, 150_000)

  test('kubectl apply, get services, and the page answers', async () => {
    const applied = await must('kubectl apply -f examples/tic-tac-toe/deploy-k8s-tic-tac-toe.yml')
    expect(applied.stdout).toBe('deployment.apps/web created\nservice/web created\n')
    await must('kubectl rollout status deployment/web --timeout=60s')
    const address = await eventually('an address', async () => {
      const { stdout } = await must('kubectl get services web --no-headers')
      return /LoadBalancer\s+\S+\s+(127\.\S+)\s+80:3\d{4}\/TCP/.exec(stdout)?.[1]
    })
    const rules = await must('gcloud compute forwarding-rules list')
    expect(rules.stdout).toContain(address)
    const [pod = ''] = (await must('kubectl get pods -o name')).stdout.trim().split('\n')
    expect((await must(`kubectl exec ${pod} -- node -p 1+1`)).stdout).toBe('2\n')
  }, 150_000)

  test('what gcloud shows of it', async () => {
    expect((await must('gcloud container clusters list')).stdout).toContain('test-cluster')
    expect(
      (await must('gcloud container clusters describe test-cluster --zone us-east1-c')).stdout,
    ).toContain('status: RUNNING')
    expect(
      (await must('gcloud container node-pools list --cluster test-cluster --zone us-east1-c'))
        .stdout,
    ).toContain('default-pool')
    const instances = (await must('gcloud compute instances list')).stdout
    expect(instances.match(/RUNNING/g)).toHaveLength(2)
    expect((await must('gcloud container operations list')).stdout).toMatch(
      /CREATE_CLUSTER\s+us-east1-c\s+test-cluster/,
    )
  }, 150_000)

  test('resize up, to none, and back', async () => {
    for (const count of [3, 0, 1]) {
      await must(
        `gcloud container clusters resize test-cluster --num-nodes ${count} --zone us-east1-c --quiet`,
      )
      const { stdout } = await must('kubectl get nodes --no-headers')
      expect(stdout.split('\n').filter((line) => / Ready /.test(line))).toHaveLength(count)
    }
  }, 150_000)

  test('the flags of create reach the nodes; labels, pools, upgrade, credentials, create-auto', async () => {
    await must(
      'gcloud container clusters create flags --num-nodes 1 --zone us-east1-c --spot --machine-type e2-small --node-labels tier=b --node-taints only=batch:NoSchedule --disk-size 50 --labels team=x --enable-autoscaling --min-nodes 1 --max-nodes 3',
    )
    const node = JSON.parse((await must('kubectl get nodes -o json')).stdout).items[0]
    expect(node.metadata.labels).toMatchObject({ tier: 'b', 'cloud.google.com/gke-spot': 'true' })
    expect(node.spec.taints).toEqual([{ key: 'only', value: 'batch', effect: 'NoSchedule' }])
    await must('gcloud container clusters update flags --zone us-east1-c --update-labels team=y')
    const described = JSON.parse(
      (await must('gcloud container clusters describe flags --zone us-east1-c --format json'))
        .stdout,
    )
    expect(described).toMatchObject({
      resourceLabels: { team: 'y' },
      nodePools: [
        {
          config: { machineType: 'e2-small', diskSizeGb: 50, spot: true },
          autoscaling: { enabled: true, minNodeCount: 1, maxNodeCount: 3 },
        },
      ],
    })
    await must('gcloud container clusters upgrade flags --zone us-east1-c --master --quiet')
    await must(
      'gcloud container node-pools create p2 --cluster flags --zone us-east1-c --num-nodes 0',
    )
    await must('gcloud container node-pools delete p2 --cluster flags --zone us-east1-c --quiet')
    await must('gcloud container clusters get-credentials flags --zone us-east1-c')
    expect((await must('kubectl config current-context')).stdout).toBe(
      'gke_demo-wherry_us-east1-c_flags\n',
    )
    await must('gcloud container clusters create-auto auto --region us-east1 --async')
    expect((await must('gcloud container clusters list')).stdout).toMatch(/^auto\s+us-east1\s/m)
    await Promise.all([
      must('gcloud container clusters delete flags --zone us-east1-c --quiet'),
      must('gcloud container clusters delete auto --region us-east1 --quiet'),
    ])
  }, 150_000)

  test('what is refused, and how', async () => {
    const twice = await run(
      'gcloud container clusters create test-cluster --num-nodes 1 --zone us-east1-c',
    )
    expect(twice.code).toBe(1)
    expect(twice.stderr).toContain(
      'Already exists: projects/demo-wherry/zones/us-east1-c/clusters/test-cluster.',
    )
    const nowhere = await run('gcloud container clusters create other --num-nodes 1 --zone nowhere')
    expect(nowhere.stderr).toContain('Location "nowhere" does not exist.')
    const absent = await run('gcloud container clusters delete nobody --zone us-east1-c --quiet')
    expect(absent.stderr).toContain(
      'Not found: projects/demo-wherry/zones/us-east1-c/clusters/nobody.',
    )
    const stranger = await run('gcloud container clusters list', {
      CLOUDSDK_AUTH_ACCESS_TOKEN: 'wrong',
    })
    expect(stranger.code).toBe(1)
    expect(stranger.stderr).toContain('invalid authentication credentials')
    const intruder = await run(
      'kubectl --context gke_demo-wherry_us-east1-c_test-cluster get pods',
      { CLOUDSDK_AUTH_ACCESS_TOKEN: 'wrong' },
    )
    expect(intruder.stderr).toContain('You must be logged in to the server')
  }, 150_000)

  test('gcloud container clusters delete: nothing is left', async () => {
    const { stderr } = await must(
      'gcloud container clusters delete test-cluster --zone us-east1-c --quiet',
    )
    expect(stderr).toContain('Deleted')
    expect((await must('gcloud container clusters list')).stdout).toBe('')
    expect((await must('gcloud compute instances list')).stdout).toBe('')
    expect((await must('gcloud compute forwarding-rules list')).stdout).toBe('')
    expect((await must('gcloud compute addresses list')).stdout).toBe('')
  }, 150_000)
})

test('gcloud is here, or this machine is no continuous integration', () => {
  if (process.env['CI'] && process.env['WHERRY_WITHOUT_GCLOUD'] === undefined)
    expect(HAS_GCLOUD).toBe(true)
})
