// Plays the node agent in VMs of namespaces, for tests of the machines: serves at every address of the
// VM. GET / answers who it is and who asked; /metadata/… passes on what the metadata server says;
// /names/NAME what the name server says; /ask?url= what another one answers; UDP is echoed with the
// VM's name. An address given as the VM's attribute `balancer` is its own too.

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
const balancer = await metadata('instance/attributes/balancer')
if (balancer) execFileSync('ip', ['addr', 'replace', `${balancer}/32`, 'dev', 'lo'])

const answers = {
  metadata: (rest) => metadata(rest),
  names: async (rest) => (await lookup(rest, { family: 4 })).address,
  ask: async (_rest, query) => {
    const signal = AbortSignal.timeout(1000)
    return (await fetch(query.get('url') ?? '', { signal })).text()
  },
}

async function answer(request) {
  const url = new URL(request.url, 'http://vm')
  const [, first = '', ...rest] = url.pathname.split('/')
  const special = answers[first]
  if (special) return special(rest.join('/'), url.searchParams)
  return JSON.stringify({ name, pid: process.pid, from: request.socket.remoteAddress })
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
udp.bind(PORT, balancer || '0.0.0.0')
