// Plays the node agent in VMs of namespaces, for tests of the machines: serves at every address of the
// VM. GET / answers who it is and who asked; /metadata/… passes on what the metadata server says;
// /names/NAME what the name server says; /ask?url= what another one answers; UDP is echoed with the
// VM's name; POST /size answers how much was sent. Addresses in the VM's attribute `balancers` are its own too.

import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { createServer } from 'node:http'

const PORT = 10250
const host = process.env['GCE_METADATA_HOST']

async function metadata(path) {
  const url = `http://${host}/computeMetadata/v1/${path}`
  const response = await fetch(url, { headers: { 'metadata-flavor': 'Google' } })
  return response.ok ? response.text() : ''
}

const name = await metadata('instance/name')
const balancers = (await metadata('instance/attributes/balancers')).split(' ').filter(Boolean)
for (const each of balancers) execFileSync('ip', ['addr', 'replace', `${each}/32`, 'dev', 'lo'])

// Asked to shut down it waits to be told that it may, so that it can be looked at meanwhile.
if ((await metadata('instance/attributes/linger')) === 'yes') process.on('SIGTERM', () => undefined)

const answers = {
  leave: () => process.exit(0),
  metadata: (rest) => metadata(rest),
  names: async (rest) => (await lookup(rest, { family: 4 })).address,
  ask: async (_rest, query) => {
    const signal = AbortSignal.timeout(1000)
    return (await fetch(query.get('url') ?? '', { signal })).text()
  },
}

/** Who asked last whether it is well. */
let checker

/** How much was sent. */
async function sizeOf(request) {
  let size = 0
  for await (const chunk of request) size += chunk.length
  return String(size)
}

async function answer(request) {
  const url = new URL(request.url, 'http://vm')
  const [, first = '', ...rest] = url.pathname.split('/')
  if (first === 'healthz') checker = request.socket.remoteAddress
  if (first === 'size') return sizeOf(request)
  const special = answers[first]
  if (special) return special(rest.join('/'), url.searchParams)
  return JSON.stringify({ name, pid: process.pid, from: request.socket.remoteAddress, checker })
}

createServer((request, response) => {
  answer(request).then(
    (text) => response.end(text),
    (error) => {
      response.statusCode = 502
      response.end(String(error.cause ?? error))
    },
  )
}).listen(PORT, '0.0.0.0')

const udp = createSocket('udp4')
udp.on('message', (message, from) => udp.send(`${name} ${message}`, from.port, from.address))
// With an address of its own: the answer must come from where the question went.
udp.bind(PORT, balancers.at(-1) ?? '0.0.0.0')
