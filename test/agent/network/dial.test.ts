// How port-forward enters the network of a pod: a process with a network of its own, that listens on its
// 127.0.0.1 only.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dialInNetwork, type Dial } from '#agent/server/dial.ts'
import { whyNot } from './world.ts'

const why = whyNot()
if (why) {
  if (process.env['CI']) throw new Error(`networks of pods cannot be entered here: ${why}`)
  console.log(`test/agent/network/dial.test.ts is not run here: it ${why}`)
}

const PORT = 8099
/** Speaks first, and last: what a client has said comes back when it has ended. */
const SERVER = `
require('node:net').createServer({ allowHalfOpen: true }, (socket) => {
  let said = ''
  socket.write('hello ')
  socket.on('data', (chunk) => (said += chunk)).on('end', () => socket.end(said))
}).listen(${PORT}, '127.0.0.1', () => process.send('listening'))
`

describe.skipIf(why)('a port of a pod', { timeout: 60_000 }, () => {
  let pod: ChildProcess
  let dial: Dial

  beforeAll(async () => {
    const command = [
      'sh',
      '-c',
      'ip link set lo up && exec "$@"',
      'sh',
      process.execPath,
      '-e',
      SERVER,
    ]
    pod = spawn('unshare', ['--net', ...command], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    await once(pod, 'message')
    dial = dialInNetwork(pod.pid ?? 0)
  }, 60_000)
  afterAll(() => {
    dial?.close()
    pod?.kill('SIGKILL')
  })

  test('is reached at the pod’s own localhost; each direction ends by itself', async () => {
    const sockets = await Promise.all([dial.open(PORT), dial.open(PORT)])
    const answers = sockets.map((socket) => text(socket))
    sockets.forEach((socket, index) => socket.end(`from ${index}`))
    expect(await Promise.all(answers)).toEqual(['hello from 0', 'hello from 1'])
  })

  test('that nobody listens on is refused, and said so', async () => {
    await expect(dial.open(PORT + 1)).rejects.toThrow(
      `failed to connect to localhost:${PORT + 1} inside namespace: ` +
        `IPv4: dial tcp4 127.0.0.1:${PORT + 1}: connect: connection refused`,
    )
  })

  test('stays open when the one who asked for it has gone', async () => {
    const other = dialInNetwork(pod.pid ?? 0)
    const socket = await other.open(PORT)
    other.close()
    const answer = text(socket)
    socket.end('still here')
    expect(await answer).toBe('hello still here')
  })

  test('of a pod that has gone is told, not waited for', async () => {
    // No process has this number.
    await expect(dialInNetwork(2 ** 30).open(PORT)).rejects.toThrow('cannot be entered')
  })
})
