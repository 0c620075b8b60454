// Debian's image registry on a port of its own, with a password, and an image in it.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Secret } from '#shared/api/config.ts'
import { BOX, type TestEngine } from './docker-engine.ts'

export interface TestRegistry {
  /** The image that only its user may have. */
  image: string
  /** Lets a pod pull it. */
  secret: Secret
  password: string
  close(): void
}

const USERNAME = 'porter'
const PASSWORD = 'open-sesame'
/** bcrypt, the only kind that the registry reads. */
const HASH = '$2y$05$abcdefghijklmnopqrstuutXu9KzOt.1yBoZUeFWoT/914/JfszCO'
const STARTS_MS = 30_000

export async function startTestRegistry({ docker }: TestEngine): Promise<TestRegistry> {
  const home = mkdtempSync(join(tmpdir(), 'wdr-'))
  const address = `127.0.0.1:${await freePort()}`
  writeFileSync(join(home, 'users'), `${USERNAME}:${HASH}\n`)
  writeFileSync(
    join(home, 'config.yml'),
    `version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: ${join(home, 'data')} } }
http: { addr: "${address}" }
auth: { htpasswd: { realm: test, path: ${join(home, 'users')} } }
`,
  )
  const child = spawn('docker-registry', ['serve', join(home, 'config.yml')], { stdio: 'ignore' })
  await answers(`http://${address}/v2/`)
  const image = `${address}/box:1`
  await docker.getImage(BOX).tag({ repo: `${address}/box`, tag: '1' })
  const authconfig = { username: USERNAME, password: PASSWORD, serveraddress: address }
  const pushed = await text(await docker.getImage(image).push({ authconfig }))
  if (pushed.includes('"error"')) throw new Error(pushed)
  await docker.getImage(image).remove()
  const auths = { [address]: { username: USERNAME, password: PASSWORD } }
  return {
    image,
    password: PASSWORD,
    secret: {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'pull', namespace: 'default', uid: 'pull', creationTimestamp: '' },
      type: 'kubernetes.io/dockerconfigjson',
      data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') },
    },
    close() {
      child.kill('SIGKILL')
      rmSync(home, { recursive: true, force: true })
    },
  }
}

async function answers(url: string): Promise<void> {
  for (const until = Date.now() + STARTS_MS; ;) {
    const response = await fetch(url).catch(() => undefined)
    if (response) return
    if (Date.now() > until) throw new Error('the registry did not start')
    await new Promise((resolve) => {
      setTimeout(resolve, 50)
    })
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}
