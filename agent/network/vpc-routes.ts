// This VM's routes in the registry of the emulated VPC: which loopback port stands for an address.

import { isRecord } from '../json.ts'
import type { Address } from './network.ts'

export interface VpcRoutes {
  /** Resolves when the registry has it. Rejects when it cannot be reached. */
  set(address: string, to: Address): Promise<void>
  /** Registers or removes as soon as the registry can be reached; never rejects. */
  want(address: string, to: Address | undefined): void
  /** Where an address of any VM leads; undefined: nowhere. */
  find(address: string): Promise<Address | undefined>
  close(): void
}

const TIMEOUT_MS = 5000
const RETRY_MS = 1000

/** `owner` is the VM's name: the registry forgets its routes when the VM is gone. */
export function openVpcRoutes(url: string, owner: string): VpcRoutes {
  const wanted = new Map<string, Address | undefined>()
  let isBusy = false
  let timer: NodeJS.Timeout | undefined
  const send = async (method: 'PUT' | 'DELETE', address: string, to?: Address): Promise<void> => {
    const body = { owner, address, ...(to ? { to: `${to.host}:${to.port}` } : {}) }
    const response = await fetch(new URL('/vpc/routes', url), {
      method,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    const answer = await response.text()
    if (!response.ok) throw new Error(`VPC registry: ${response.status} ${answer}`)
  }
  const drain = async (): Promise<void> => {
    if (isBusy) return
    isBusy = true
    try {
      for (let next = first(wanted); next; next = first(wanted)) {
        const [address, to] = next
        await send(to ? 'PUT' : 'DELETE', address, to)
        if (wanted.get(address) === to) wanted.delete(address)
      }
    } catch {
      timer = setTimeout(() => void drain(), RETRY_MS)
    } finally {
      isBusy = false
    }
  }
  return {
    async set(address, to) {
      wanted.delete(address)
      await send('PUT', address, to)
    },
    want(address, to) {
      wanted.set(address, to)
      void drain()
    },
    async find(address) {
      const response = await fetch(
        new URL(`/vpc/route?address=${encodeURIComponent(address)}`, url),
        { signal: AbortSignal.timeout(TIMEOUT_MS) },
      )
      const json: unknown = await response.json().catch(() => undefined)
      if (!response.ok || !isRecord(json) || typeof json['to'] !== 'string') return undefined
      const colon = json['to'].lastIndexOf(':')
      return { host: json['to'].slice(0, colon), port: Number(json['to'].slice(colon + 1)) }
    },
    close: () => clearTimeout(timer),
  }
}

function first<K, V>(map: ReadonlyMap<K, V>): [K, V] | undefined {
  const { value, done } = map.entries().next()
  return done ? undefined : value
}
