// Plays the node agent for tests of the machines: says what it was given in `<state dir>/report.json`,
// starts a "container" that leaves the process group and one that loses its parent, registers its
// /healthz in the VPC, and ends when its standard input closes. Told to shut down it ends at once, or after
// FAKE_DRAIN_MS, unwell meanwhile; /slow is answered after 700 ms.

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

const { WHERRY_STATE_DIR: dir, GCE_METADATA_HOST: metadata, WHERRY_VPC_URL: vpc } = process.env
const ask = async (path) => {
  const url = `http://${metadata}/computeMetadata/v1/${path}`
  const response = await fetch(url, { headers: { 'metadata-flavor': 'Google' } })
  return response.text()
}
const sleeper = 'setInterval(() => {}, 1000)'
const owner = createHash('sha256').update(dir).digest('hex').slice(0, 12)
const container = spawn(process.execPath, ['-e', sleeper], {
  detached: true,
  stdio: 'ignore',
  env: { WHERRY_CONTAINER_ID: `${owner}.1`, HOSTNAME: 'pod-1' },
})
const [name, ip] = [await ask('instance/name'), await ask('instance/network-interfaces/0/ip')]
let isDraining = false
const server = createServer((request, response) => {
  if (request.url === '/healthz' && isDraining) response.statusCode = 503
  const answer = () => response.end(request.url === '/healthz' ? 'ok' : `${name}\n`)
  if (request.url === '/slow') setTimeout(answer, 700)
  else answer()
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
if (vpc) {
  for (const address of [`${ip}:10250/tcp`, `${ip}>127.0.1.1:28080/tcp`]) {
    await fetch(`${vpc}/vpc/routes`, {
      method: 'PUT',
      body: JSON.stringify({ owner: name, address, to: `127.0.0.1:${server.address().port}` }),
    })
  }
}
process.on('SIGTERM', () => {
  writeFileSync(join(dir, 'stopped'), 'politely')
  isDraining = true
  const drainMs = Number(process.env.FAKE_DRAIN_MS ?? 0)
  if (drainMs > 0) setTimeout(() => process.exit(0), drainMs)
  else process.exit(0)
})
process.stdin.resume()
process.stdin.on('end', () => {
  process.kill(-container.pid, 'SIGKILL')
  process.exit(1)
})
const boots = existsSync(join(dir, 'boots')) ? Number(readFileSync(join(dir, 'boots'), 'utf8')) : 0
writeFileSync(join(dir, 'boots'), String(boots + 1))
const { port } = server.address()
const report = { pid: process.pid, container: container.pid, name, ip, port, env: process.env }
writeFileSync(join(dir, 'report.new'), JSON.stringify(report))
renameSync(join(dir, 'report.new'), join(dir, 'report.json'))
