import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createProcessRuntime } from './process.ts'
import { markedProcesses } from './process-tree.ts'
import type { ContainerToStart, Exit, Image, Runtime } from './runtime.ts'

describe('the process runtime', () => {
  let folder: string
  let runtime: Runtime
  let image: Image
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'wherry-process-'))
    mkdirSync(join(folder, 'images/i'), { recursive: true })
    writeFileSync(join(folder, 'images/i/image.json'), JSON.stringify({ name: 'x/i' }))
    runtime = createProcessRuntime({
      images: [join(folder, 'images')],
      stateDir: join(folder, 'state'),
    })
    image = await runtime.pullImage('docker.io/x/i:latest', {
      credentials: [],
      onProgress: () => undefined,
    })
  })
  afterEach(() => {
    runtime.cutPower()
    rmSync(folder, { recursive: true })
  })

  /** Runs a shell script as a container; `said` grows, `ended` resolves with its exit. */
  async function run(script: string, more: Partial<ContainerToStart> = {}) {
    const out = { said: '' }
    const { promise: ended, resolve } = Promise.withResolvers<Exit>()
    await runtime.start({
      podUid: 'uid',
      name: 'main',
      id: 'c1',
      image,
      argv: ['sh', '-c', script],
      env: { GREETING: 'hello' },
      workdir: undefined,
      hasStdin: false,
      stdinOnce: false,
      hasTty: false,
      attempt: 0,
      requests: {},
      oomScoreAdjust: 0,
      security: {
        runAsUser: undefined,
        runAsGroup: undefined,
        supplementalGroups: [],
        addCapabilities: [],
        dropCapabilities: [],
        isPrivileged: false,
        isRootReadOnly: false,
        noNewPrivileges: false,
        seccomp: 'RuntimeDefault',
        isProcUnmasked: false,
      },
      mounts: [],
      limits: {},
      onOutput: (_, chunk) => void (out.said += chunk.toString()),
      onExit: resolve,
      ...more,
    })
    return { out, ended }
  }

  test('runs in the folder of the image, with its own environment only', async () => {
    const { out, ended } = await run('pwd; echo "$GREETING ${HOME}"; echo "[$npm_lifecycle_event]"')
    expect(await ended).toMatchObject({ exitCode: 0, reason: 'Completed' })
    expect(out.said).toBe(`${join(folder, 'images/i')}\nhello /tmp\n[]\n`)
  })

  test('the exit code of a signal is 128 and its number', async () => {
    const { ended } = await run('exec sleep 60')
    runtime.terminate('c1')
    expect(await ended).toMatchObject({ exitCode: 143, reason: 'Error' })
  })

  test('what the main process started ends with it, even out of its session', async () => {
    const { ended } = await run('setsid sleep 60 & sleep 61 & exit 5')
    expect(await ended).toMatchObject({ exitCode: 5 })
    await expect.poll(() => markedProcesses('').filter((pid) => isOurs(pid, folder))).toEqual([])
  })

  test('a program that is not there cannot be started', async () => {
    await expect(run('', { argv: ['no-such-program'] })).rejects.toMatchObject({
      reason: 'StartError',
      message:
        'failed to start the process: exec: "no-such-program": executable file not found in $PATH',
    })
  })

  test('a volume is seen at its place by the container alone', async (context) => {
    if (process.platform !== 'linux' || process.getuid?.() !== 0) context.skip()
    const source = join(folder, 'volume')
    mkdirSync(source)
    writeFileSync(join(source, 'key'), 'sesame')
    const mounts = [
      { source, target: '/config/app', readOnly: true },
      { source, target: '/etc/wherry-test-deep/er', readOnly: false },
    ]
    const script =
      'cat /config/app/key; echo no > /config/app/key; echo yes > /etc/wherry-test-deep/er/new; ' +
      'cat /etc/hostname > /dev/null && pwd; exit 4'
    const { out, ended } = await run(script, { mounts })
    expect(await ended).toMatchObject({ exitCode: 4 })
    expect(out.said).toContain('sesame')
    // Standard error is another pipe: it may be read after the end was seen.
    await expect.poll(() => out.said).toContain('Read-only file system')
    expect(out.said).toContain(join(folder, 'images/i'))
    expect(readFileSync(join(source, 'new'), 'utf8')).toBe('yes\n')
    expect(() => readFileSync('/config/app/key')).toThrow('ENOENT')
  })

  test('exec runs beside it, and goes with it', async () => {
    const { ended } = await run('exec sleep 60')
    const exec = runtime.exec('c1', ['sh', '-c', 'cat; echo "$GREETING" >&2; exit 3'])
    let [stdout, stderr] = ['', '']
    exec.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    exec.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    exec.stdin.end('typed')
    expect(await exec.ended).toBe(3)
    expect([stdout, stderr]).toEqual(['typed', 'hello\n'])
    const hanging = runtime.exec('c1', ['sleep', '60'])
    runtime.kill('c1')
    expect(await hanging.ended).toBe(137)
    expect((await ended).exitCode).toBe(137)
  })

  test('an agent that comes back ends what another left', async () => {
    await run('exec sleep 60')
    const again = createProcessRuntime({ images: [], stateDir: join(folder, 'state') })
    await again.takeOver()
    await expect.poll(() => markedProcesses('').filter((pid) => isOurs(pid, folder))).toEqual([])
  })

  test('a CPU limit is enforced or said not to be', async () => {
    const gaps = runtime.notEnforced({ limits: { cpuMillis: 200 } })
    if (gaps.length > 0) {
      expect(gaps).toEqual(['cpu limit'])
      return
    }
    await run('while :; do :; done', { limits: { cpuMillis: 200 } })
    const usage = async (): Promise<number> => (await runtime.usage('c1'))?.cpuNanos ?? 0
    const [before, begun] = [await usage(), performance.now()]
    await expect.poll(() => performance.now() - begun, { timeout: 3000 }).toBeGreaterThan(1500)
    const share = (await usage()) - before
    expect(share / 1e6 / (performance.now() - begun)).toBeLessThan(0.4)
  })
})

function isOurs(pid: number, folder: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(folder)
  } catch {
    return false
  }
}
