// What a Service costs on its way to a pod, and what a change of the rules costs.
// `npm run bench -- dataplane [--rounds N] [--seconds N] [--changes N]`. Needs Linux, root, nftables and wrk.
//
// Traffic: requests by wrk from a pod of one VM to a pod of another (network namespaces), straight to the pod
// and through a Service, in turns, so that whatever else the machine does meets both. The same for
// the userspace proxy of VMs without a network, on loopback. `ratio` is Service ÷ direct.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { openPortProxy } from '#agent/network/port-proxy.ts'
import { run } from '#agent/network/kernel/programs.ts'
import { anEndpoint, aService, aSlice, wanted } from '#test/agent/network/objects.ts'
import { eventually, Peer, Vpc, whyNot } from '#test/agent/network/world.ts'
import type { RulesResult } from './dataplane/rules-program.ts'
import { dataplaneSection } from './dataplane/section.ts'
import type { Measurement, Section } from './measurement.ts'
import { median } from './support/median.ts'

const VIP = '34.118.224.50'
const HTTP_PORT = 8082
const SIZES = [10, 1000, 10_000]
const HERE = import.meta.dirname
/** The kernel's memory of connections that have ended; which ports a client has, and how soon it has them again. */
const FORGET_SOON = ['net.netfilter.nf_conntrack_tcp_timeout_time_wait=1']
const PORTS = ['net.ipv4.ip_local_port_range=1024 65535', 'net.ipv4.tcp_tw_reuse=1']

interface Options {
  rounds: number
  seconds: number
  changes: number
}

/** What wrk says of one round. */
interface Round {
  perSecond: number
  p99Ms: number
}

export const section: Section = {
  page: 'networking',
  name: 'dataplane',
  text: dataplaneSection,
}

export async function measure(args: readonly string[]): Promise<Measurement[]> {
  const why = whyNot()
  if (why) throw new Error(`this measurement ${why}`)
  const options = {
    rounds: numberOf(args, '--rounds', 5),
    seconds: numberOf(args, '--seconds', 3),
    changes: numberOf(args, '--changes', 50),
  }
  return [
    ...(await measureKernel(options)),
    ...(await measureProxy(options)),
    ...(await measureRules(options)),
  ]
}

async function measureKernel(options: Options): Promise<Measurement[]> {
  const vpc = new Vpc()
  try {
    const one = vpc.addVm('one', '10.128.0.11', '10.4.1.0/24')
    const two = vpc.addVm('two', '10.128.0.12', '10.4.2.0/24')
    const [client, server] = await Promise.all([one.addPod('client'), two.addPod('server')])
    // Thousands of new connections a second would fill the kernels' tables of those that have ended, and then those
    // would be measured.
    for (const { holder } of [one, two]) await setIn(holder, FORGET_SOON)
    await setIn(client.peer.program.pid, PORTS)
    const slice = aSlice('web', [anEndpoint(server.ip, 'two')], [{ name: '', port: HTTP_PORT }])
    const all = wanted([aService('web', VIP)], [slice])
    await Promise.all([one.apply(all), two.apply(all)])
    const enter = ['nsenter', `--net=/proc/${client.peer.program.pid}/ns/net`, '--']
    return await compare('dataplane.nftables', options, enter, {
      direct: `http://${server.ip}:${HTTP_PORT}/`,
      service: `http://${VIP}/`,
    })
  } finally {
    vpc.close()
  }
}

/** In the network of this process. */
async function setIn(pid: number, settings: readonly string[]): Promise<void> {
  await run('nsenter', [`--net=/proc/${pid}/ns/net`, '--', 'sysctl', '-qw', ...settings])
}

async function measureProxy(options: Options): Promise<Measurement[]> {
  // A namespace of its own, so that nobody else's ports are in the way; the proxy is in this process.
  const server = new Peer('server', 'env', [])
  const proxy = await openPortProxy({
    resolve: async () => ({ host: '127.0.0.1', port: HTTP_PORT }),
    onFailure: () => undefined,
  })
  try {
    await server.program.ready
    proxy.setBackends([{ ip: '127.0.0.1', port: HTTP_PORT }], undefined)
    return await compare('dataplane.proxy', options, [], {
      direct: `http://127.0.0.1:${HTTP_PORT}/`,
      service: `http://127.0.0.1:${proxy.address.port}/`,
    })
  } finally {
    proxy.close()
    server.program.end()
  }
}

/** Both ways in turns: with connections that are kept, and with a new one for each request. */
async function compare(
  name: string,
  { rounds, seconds }: Options,
  enter: readonly string[],
  ways: { direct: string; service: string },
): Promise<Measurement[]> {
  const measurements: Measurement[] = []
  for (const [kind, more] of [
    ['kept', []],
    ['new', ['-H', 'Connection: close']],
  ] as const) {
    const found: Record<'direct' | 'service', Round[]> = { direct: [], service: [] }
    await eventually(() => wrk(enter, [...more, '-d1s', ways.service]))
    for (let round = 0; round < rounds; round++) {
      for (const way of ['direct', 'service'] as const) {
        found[way].push(await wrk(enter, [...more, `-d${seconds}s`, ways[way]]))
      }
    }
    const note = `${rounds} rounds of ${seconds} s, median`
    for (const way of ['direct', 'service'] as const) {
      const base = `${name}.${kind}.${way}`
      const rates = found[way].map(({ perSecond }) => perSecond)
      const tails = found[way].map(({ p99Ms }) => p99Ms)
      measurements.push({ name: `${base}.rate`, unit: '1/s', value: median(rates), note })
      measurements.push({ name: `${base}.p99`, unit: 'ms', value: median(tails), note })
    }
    const ratios = found.service.map(
      ({ perSecond }, index) => perSecond / (found.direct[index]?.perSecond ?? Number.NaN),
    )
    measurements.push({ name: `${name}.${kind}.ratio`, unit: 'ratio', value: median(ratios), note })
  }
  return measurements
}

/** 16 connections of one thread. */
async function wrk(enter: readonly string[], args: readonly string[]): Promise<Round> {
  const [program = '', ...rest] = [...enter, 'wrk', '-t1', '-c16', '--latency', ...args]
  const text = await run(program, rest)
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1])
  const [, value, unit] = /99%\s+([\d.]+)(us|ms|s)/.exec(text) ?? []
  const scale = { us: 0.001, ms: 1, s: 1000 }[unit ?? 'ms'] ?? 1
  if (!Number.isFinite(perSecond) || perSecond === 0) throw new Error(`wrk says: ${text}`)
  return { perSecond, p99Ms: Number(value) * scale }
}

/** In a network namespace of its own, with the network of an agent and nothing else. */
async function measureRules({ changes }: Options): Promise<Measurement[]> {
  const measurements: Measurement[] = []
  for (const services of SIZES) {
    const { full, one } = await runRules(services, changes)
    const base = `dataplane.rules.${services}`
    const note = `${services} Services of 3 endpoints`
    const each = `${note}; one endpoint of one Service, median of ${changes}`
    measurements.push(
      { name: `${base}.full.time`, unit: 'ms', value: full.ms, note },
      { name: `${base}.full.cpu`, unit: 'ms', value: full.cpuMs, note },
      { name: `${base}.one.time`, unit: 'ms', value: one.ms, note: each },
      {
        name: `${base}.one.nft`,
        unit: 'ms',
        value: one.nftMs,
        note: `${each}, nft alone`,
      },
      { name: `${base}.one.cpu`, unit: 'ms', value: one.cpuMs, note: `${each}, mean` },
    )
  }
  return measurements
}

function runRules(services: number, changes: number): Promise<RulesResult> {
  const program = join(HERE, 'dataplane', 'rules-program.ts')
  const args = ['--net', process.execPath, program, String(services), String(changes)]
  return new Promise((resolve, reject) => {
    const child = spawn('unshare', args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    child.once('message', (message) => resolve(message as RulesResult))
    child.once('exit', (code) => reject(new Error(`the measurement ended with ${code}`)))
  })
}

function numberOf(args: readonly string[], name: string, otherwise: number): number {
  const value = Number(args[args.indexOf(name) + 1])
  return args.includes(name) && value > 0 ? value : otherwise
}
