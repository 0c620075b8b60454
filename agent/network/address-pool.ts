// Pod addresses of one node, from its range. Kept on disk; a freed address comes round again only
// after all others, so a late packet or a stale cache does not meet a new pod.

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { isRecord } from '../json.ts'

export interface AddressPool {
  /** The owner's address, a new one when it has none. Throws when all are taken. */
  take(owner: string): string
  free(owner: string): void
  /** Frees what belongs to none of these. */
  keepOnly(owners: ReadonlySet<string>): void
}

/** The first address after the network's own is the node's bridge, as on GKE. */
const FIRST_HOST = 2

/** Opens the pool of `range` (`10.4.1.0/24`) that is kept in `file`. */
export function openAddressPool(range: string, file: string): AddressPool {
  const { base, size } = parseRange(range)
  const state = load(file, range)
  const save = (): void => {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(`${file}.new`, JSON.stringify({ range, ...state }))
    renameSync(`${file}.new`, file)
  }
  return {
    take(owner) {
      const known = state.owners[owner]
      if (known) return known
      const taken = new Set(Object.values(state.owners))
      const hosts = size - FIRST_HOST - 1
      for (let step = 0; step < hosts; step++) {
        const host = FIRST_HOST + ((state.next + step) % hosts)
        const address = toText(base + host)
        if (taken.has(address)) continue
        state.owners[owner] = address
        state.next = (state.next + step + 1) % hosts
        save()
        return address
      }
      throw new Error(`no IP addresses available in range set: ${range}`)
    },
    free(owner) {
      if (!state.owners[owner]) return
      delete state.owners[owner]
      save()
    },
    keepOnly(owners) {
      const gone = Object.keys(state.owners).filter((owner) => !owners.has(owner))
      for (const owner of gone) delete state.owners[owner]
      if (gone.length > 0) save()
    },
  }
}

interface PoolState {
  next: number
  owners: Record<string, string>
}

function load(file: string, range: string): PoolState {
  try {
    const json: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (isRecord(json) && json['range'] === range && isRecord(json['owners'])) {
      const owners = Object.entries(json['owners']).map(([uid, ip]) => [uid, String(ip)])
      return { next: Number(json['next']) || 0, owners: Object.fromEntries(owners) }
    }
  } catch {
    // No file yet, or a torn one: the pool begins empty.
  }
  return { next: 0, owners: {} }
}

function parseRange(range: string): { base: number; size: number } {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(range)
  const bits = Number(match?.[5])
  if (!match || bits < 8 || bits > 29) throw new Error(`not a usable pod range: ${range}`)
  const address = match.slice(1, 5).reduce((sum, part) => sum * 256 + Number(part), 0)
  const size = 2 ** (32 - bits)
  return { base: address - (address % size), size }
}

function toText(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.')
}
