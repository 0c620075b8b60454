// What kubectl does over connections that leave HTTP, against the whole local system: port-forward,
// exec, cp, attach, run -i; with the newest kubectl, the oldest that speaks protobuf and, where a gcloud
// SDK has one, those that know SPDY only.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { kubectl, runClient, type ClientResult } from '../clients.ts'
import { eventually, startLocalWherry, type LocalWherry } from '../local-wherry.ts'

const scratch = mkdtempSync(join(tmpdir(), 'wherry-streams-'))
const clients: Record<string, string> = {
  '1.35': kubectl('1.35'),
  '1.32': kubectl('1.32'),
  ...sdkClients(['1.27', '1.30']),
}

let wherry: LocalWherry
let pod: string
const running: ChildProcess[] = []

/** kubectl binaries that come with gcloud, if it is installed. */
function sdkClients(versions: readonly string[]): Record<string, string> {
  const asked = spawnSync('gcloud', ['info', '--format=value(installation.sdk_root)'], {
    encoding: 'utf8',
  })
  const root = asked.status === 0 ? asked.stdout.trim() : ''
  return Object.fromEntries(
    versions
      .map((version) => [version, join(root, 'bin', `kubectl.${version}`)])
      .filter(([, path]) => root && existsSync(path ?? '')),
  )
}

beforeAll(async () => {
  wherry = await startLocalWherry()
  pod = await eventually('a ready pod', async () => {
    const text = await wherry.mustKubectl('get pods -l run=web --no-headers')
    return /^(\S+)\s+1\/1\s+Running/m.exec(text)?.[1]
  })
}, 120_000)
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL')
})
afterAll(async () => {
  await wherry?.dispose()
  rmSync(scratch, { recursive: true })
}, 60_000)

function homeOf(version: string): string {
  const home = join(scratch, `home-${version}`)
  mkdirSync(home, { recursive: true })
  return home
}

function run(version: string, args: readonly string[], input?: string): Promise<ClientResult> {
  return runClient(clients[version] ?? '', args, {
    home: homeOf(version),
    kubeconfig: wherry.ready.kubeconfig,
    timeoutMs: 20_000,
    ...(input === undefined ? {} : { input }),
  })
}

interface Going {
  child: ChildProcess
  stdout: () => string
  stderr: () => string
}

/** Starts a kubectl that goes on; it ends with the test at the latest. */
function start(version: string, args: readonly string[]): Going {
  const child = spawn(clients[version] ?? '', args, {
    env: {
      PATH: process.env['PATH'],
      HOME: homeOf(version),
      KUBECONFIG: wherry.ready.kubeconfig,
    },
  })
  running.push(child)
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  return { child, stdout: () => stdout, stderr: () => stderr }
}

/** Starts a port-forward to `port` of `what`; answers where it listens. */
async function forward(version: string, what: string, port: number) {
  const going = start(version, ['port-forward', what, `:${port}`])
  const local = await eventually('it listens', async () => {
    const found = /Forwarding from 127\.0\.0\.1:(\d+) -> \d+/.exec(going.stdout())?.[1]
    if (!found && going.child.exitCode !== null) throw new Error(going.stderr())
    return found
  })
  return { ...going, port: Number(local), url: `http://127.0.0.1:${local}` }
}

async function page(url: string): Promise<string> {
  const response = await fetch(url, {
    headers: { connection: 'close' },
    signal: AbortSignal.timeout(10_000),
  })
  expect(response.status).toBe(200)
  return response.text()
}

async function until(going: Going, text: string): Promise<void> {
  await eventually(`it says ${text}`, async () => going.stdout().includes(text))
}

describe.each(Object.keys(clients))('kubectl %s', (version) => {
  test('port-forward to a pod: the page, and 20 requests at once', async () => {
    const { url, stderr } = await forward(version, `pod/${pod}`, 8080)
    expect(await page(url)).toContain('<html')
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => page(`${url}/api/whoami`).then((text) => JSON.parse(text))),
    )
    expect(answers.map((each) => each.pod)).toEqual(Array.from({ length: 20 }, () => pod))
    expect(stderr()).toBe('')
  })

  test('port-forward to a service and a deployment', async () => {
    const service = await forward(version, 'service/web', 80)
    expect(await page(service.url)).toContain('<html')
    const deployment = await forward(version, 'deployment/web', 8080)
    expect(await page(deployment.url)).toContain('<html')
  })

  test('port-forward: the client may end its side first', async () => {
    const { port } = await forward(version, `pod/${pod}`, 8080)
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    socket.end('GET /api/whoami HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    let answer = ''
    for await (const chunk of socket) answer += String(chunk)
    expect(answer).toContain('HTTP/1.1 200')
    expect(answer).toContain(pod)
  })

  test('port-forward to a port that refuses reports it', async () => {
    const { port, stderr } = await forward(version, `pod/${pod}`, 9999)
    const socket = connect({ host: '127.0.0.1', port })
    let answer = ''
    socket.on('data', (chunk) => (answer += String(chunk)))
    await new Promise((resolve) => socket.once('close', resolve))
    expect(answer).toBe('')
    await eventually('the error', async () =>
      stderr().includes(`error forwarding port 9999 to pod ${pod}, uid `),
    )
  })

  test('exec: both outputs, exit code, standard input, much output', async () => {
    const both = await run(version, [
      'exec',
      pod,
      '--',
      'sh',
      '-c',
      'echo out; echo err >&2; exit 3',
    ])
    expect([both.stdout, both.code]).toEqual(['out\n', 3])
    expect(both.stderr).toBe('err\ncommand terminated with exit code 3\n')
    expect((await run(version, ['exec', '-i', pod, '--', 'cat'], 'typed\n')).stdout).toBe('typed\n')
    const text = 'x'.repeat(2 ** 22)
    const much = await run(version, ['exec', '-i', pod, '--', 'cat'], text)
    expect(much.stdout === text).toBe(true)
    const unread = await run(version, ['exec', '-i', pod, '--', 'true'], text)
    expect(unread.code).toBe(0)
  })

  test('exec of what is not there, and in a container that is not there', async () => {
    const missing = await run(version, ['exec', pod, '--', 'no-such-program'])
    expect(missing.code).toBe(127)
    expect(missing.stderr).toContain('executable file not found in $PATH')
    const container = await run(version, ['exec', pod, '-c', 'none', '--', 'true'])
    expect(container.code).toBe(1)
    expect(container.stderr).toContain('none')
  })

  test('cp: a file and a folder, there and back', async () => {
    const from = mkdtempSync(join(scratch, 'from-'))
    const there = mkdtempSync(join(scratch, 'pod-'))
    const back = join(mkdtempSync(join(scratch, 'back-')), 'copy')
    mkdirSync(join(from, 'folder'))
    const bytes = randomBytes(1_500_000)
    writeFileSync(join(from, 'folder', 'big.bin'), bytes)
    writeFileSync(join(from, 'folder', 'small.txt'), 'small\n')
    const to = await run(version, ['cp', join(from, 'folder'), `${pod}:${there}`])
    expect(to).toMatchObject({ code: 0, stderr: '' })
    const fro = await run(version, ['cp', `${pod}:${there}/folder`, back])
    expect(fro.code).toBe(0)
    const hash = (content: Buffer): string => createHash('sha256').update(content).digest('hex')
    expect(hash(readFileSync(join(back, 'big.bin')))).toBe(hash(bytes))
    expect(readFileSync(join(back, 'small.txt'), 'utf8')).toBe('small\n')
  })

  test('attach: what is printed from now on, and what is typed', async () => {
    const name = `talks-${version.replace('.', '-')}`
    const script = 'while read line && [ "$line" != quit ]; do echo "heard $line"; done'
    await runPod(name, { stdin: true, command: ['sh', '-c', script] })
    const going = start(version, ['attach', '-i', name])
    const { stdin } = going.child
    // Attached for sure once something typed has come back.
    await eventually('an echo', async () => {
      stdin?.write('ping\n')
      return going.stdout().includes('heard ping')
    })
    stdin?.write('more\n')
    await until(going, 'heard more')
    const watching = start(version, ['attach', name])
    await eventually('the second client sees it', async () => {
      stdin?.write('both\n')
      return watching.stdout().includes('heard both')
    })
    expect(watching.stdout()).not.toContain('heard more')
    stdin?.write('quit\n')
    await eventually('they end', async () =>
      [going, watching].every(({ child }) => child.exitCode === 0),
    )
    expect(await wherry.mustKubectl(`logs ${name}`)).toContain('heard more')
  })

  test('attach to a container that has no standard input', async () => {
    const name = `ticks-${version.replace('.', '-')}`
    await runPod(name, { command: ['sh', '-c', 'while sleep 0.2; do echo tick; done'] })
    const going = start(version, ['attach', '-i', name])
    going.child.stdin?.write('ignored\n')
    await until(going, 'tick\ntick\n')
    expect(going.stdout()).not.toContain('ignored')
    await wherry.mustKubectl(`delete pod ${name} --now --wait=false`)
    await eventually('it ends with the container', async () => going.child.exitCode !== null)
  })

  test('run -i --rm: typed in, printed out, exit code, gone', async () => {
    const name = `once-${version.replace('.', '-')}`
    const args = ['run', name, '-i', '--rm', '--restart=Never', '--image=dlops/tic-tac-toe']
    args.push('--command', '--')
    const result = await run(version, [...args, 'cat'], 'through the pod\n')
    expect(result.stdout).toContain('through the pod\n')
    expect(result.stdout).toContain(`pod "${name}" deleted`)
    expect(result.code).toBe(0)
    const failing = await run(version, [...args, 'sh', '-c', 'read line; exit 5'], 'x\n')
    expect(failing.code).toBe(5)
  }, 60_000)
})

/** A pod of one container, ready. */
async function runPod(
  name: string,
  container: { command: string[]; stdin?: boolean },
): Promise<void> {
  const image = { image: 'dlops/tic-tac-toe', imagePullPolicy: 'IfNotPresent' }
  const manifest = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { restartPolicy: 'Never', containers: [{ name: 'main', ...image, ...container }] },
  }
  await wherry.mustKubectl('create -f -', { input: JSON.stringify(manifest) })
  await wherry.mustKubectl(`wait --for=condition=Ready pod/${name} --timeout=20s`)
}
