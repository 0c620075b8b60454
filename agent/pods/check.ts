// One probe or hook, carried out: http, tcp, exec or grpc. Messages are those of kubelet and Go's net package,
// because people search for them.

import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect } from 'node:net'
import type { Handler } from '#shared/api/pod.ts'
import type { Exec } from '../runtime/runtime.ts'
import { grpcHealth } from './grpc-check.ts'

export interface CheckTarget {
  podIP: string
  /** Where a port of the pod listens, seen from here; undefined: nothing was declared there. */
  locate(port: number): { host: string; port: number } | undefined
  /** The number of a named container port. */
  portNumber(port: number | string): number | undefined
  exec(argv: readonly string[]): Exec
}

export interface CheckResult {
  isGood: boolean
  message: string
  /** Nothing listened there (yet). */
  isRefused?: boolean
}

const OUTPUT_MAX = 10 * 1024

/** Runs the handler once. Never rejects. */
export async function check(
  handler: Handler,
  target: CheckTarget,
  timeoutMs: number,
): Promise<CheckResult> {
  if (handler.exec) return checkExec(handler.exec.command ?? [], target, timeoutMs)
  if (handler.httpGet) return checkHttp(handler.httpGet, target, timeoutMs)
  if (handler.tcpSocket) return checkTcp(handler.tcpSocket, target, timeoutMs)
  if (handler.grpc) return checkGrpc(handler.grpc, target, timeoutMs)
  return { isGood: false, message: 'missing probe handler' }
}

function checkHttp(
  get: NonNullable<Handler['httpGet']>,
  target: CheckTarget,
  timeoutMs: number,
): Promise<CheckResult> {
  const number = target.portNumber(get.port)
  if (number === undefined) return Promise.resolve(badPort(get.port))
  const isTls = get.scheme === 'HTTPS'
  const host = get.host ?? target.podIP
  const path = get.path?.startsWith('/') ? get.path : `/${get.path ?? ''}`
  const url = `${isTls ? 'https' : 'http'}://${host}:${number}${path}`
  const at = get.host ? { host: get.host, port: number } : target.locate(number)
  if (!at) return Promise.resolve(refused(`Get "${url}": `, `${host}:${number}`))
  const headers: Record<string, string> = {
    'user-agent': 'kube-probe/1.33',
    accept: '*/*',
    connection: 'close',
    host: `${host}:${number}`,
  }
  for (const header of get.httpHeaders ?? []) headers[header.name.toLowerCase()] = header.value
  return new Promise((resolve) => {
    const send = isTls ? httpsRequest : httpRequest
    const request = send(
      { ...at, path, headers, agent: false, rejectUnauthorized: false, setHost: false },
      (response) => {
        response.resume()
        const code = response.statusCode ?? 0
        const isGood = code >= 200 && code < 400
        settle({ isGood, message: isGood ? '' : `HTTP probe failed with statuscode: ${code}` })
      },
    )
    const timer = setTimeout(() => {
      const why = 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
      settle({ isGood: false, message: `Get "${url}": ${why}` })
    }, timeoutMs)
    const settle = (result: CheckResult): void => {
      clearTimeout(timer)
      resolve(result)
      request.destroy()
    }
    request.on('error', (error) =>
      settle(dialFailure(`Get "${url}": `, `${host}:${number}`, error)),
    )
    request.end()
  })
}

function checkTcp(
  tcp: NonNullable<Handler['tcpSocket']>,
  target: CheckTarget,
  timeoutMs: number,
): Promise<CheckResult> {
  const number = target.portNumber(tcp.port)
  if (number === undefined) return Promise.resolve(badPort(tcp.port))
  const host = tcp.host ?? target.podIP
  const at = tcp.host ? { host: tcp.host, port: number } : target.locate(number)
  if (!at) return Promise.resolve(refused('', `${host}:${number}`))
  return new Promise((resolve) => {
    const socket = connect(at)
    const settle = (result: CheckResult): void => {
      clearTimeout(timer)
      resolve(result)
      socket.destroy()
    }
    const timer = setTimeout(
      () => settle({ isGood: false, message: `dial tcp ${host}:${number}: i/o timeout` }),
      timeoutMs,
    )
    socket.on('connect', () => settle({ isGood: true, message: '' }))
    socket.on('error', (error) => settle(dialFailure('', `${host}:${number}`, error)))
  })
}

async function checkGrpc(
  { port, service = '' }: NonNullable<Handler['grpc']>,
  target: CheckTarget,
  timeoutMs: number,
): Promise<CheckResult> {
  const address = `${target.podIP}:${port}`
  const at = target.locate(port)
  if (!at) return refused('', address)
  try {
    const { isServing, status } = await grpcHealth(at, service, timeoutMs)
    if (isServing) return { isGood: true, message: '' }
    return { isGood: false, message: `service unhealthy (responded with "${status}")` }
  } catch (error) {
    return dialFailure('', address, error instanceof Error ? error : new Error(String(error)))
  }
}

async function checkExec(
  argv: readonly string[],
  target: CheckTarget,
  timeoutMs: number,
): Promise<CheckResult> {
  const run = target.exec(argv)
  let output = ''
  const keep = (chunk: Buffer | string): void => {
    if (output.length < OUTPUT_MAX) output += chunk.toString()
  }
  run.stdout.on('data', keep)
  run.stderr.on('data', keep)
  run.stdin.end()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), timeoutMs)
  })
  const code = await Promise.race([run.ended, late])
  clearTimeout(timer)
  if (code !== 'late') return { isGood: code === 0, message: output.trim() }
  run.kill()
  return {
    isGood: false,
    message: `command timed out: "${argv.join(' ')}" timed out after ${timeoutMs / 1000}s`,
  }
}

function dialFailure(prefix: string, address: string, error: NodeJS.ErrnoException): CheckResult {
  if (error.code === 'ECONNREFUSED') return refused(prefix, address)
  if (error.code === 'ECONNRESET') {
    return { isGood: false, message: `${prefix}read tcp ${address}: connection reset by peer` }
  }
  return { isGood: false, message: `${prefix}${error.message}` }
}

function refused(prefix: string, address: string): CheckResult {
  const message = `${prefix}dial tcp ${address}: connect: connection refused`
  return { isGood: false, message, isRefused: true }
}

function badPort(port: number | string): CheckResult {
  return { isGood: false, message: `couldn't resolve port ${port}: no such container port` }
}
