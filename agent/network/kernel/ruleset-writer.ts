// Brings the kernel's table to what is wanted: one transaction with what changed. Everything at once,
// replacing the table atomically, only at the start and after a transaction that failed. The table
// stays when the agent ends: traffic goes on without it.

import type { Log } from '#shared/ports/log.ts'
import { isRecord } from '../../json.ts'
import { baseTable, TABLE } from './base-table.ts'
import type { TableSettings } from './base-table.ts'
import { run } from './programs.ts'
import { Ruleset } from './ruleset.ts'
import type { Fragment } from './ruleset.ts'

/** Sets whose elements the kernel adds: who was sent where. Their names begin with this. */
export const AFFINITY_PREFIX = 'affinity-'

const RETRY_MS = 5000

export class RulesetWriter {
  readonly #ruleset = new Ruleset(TABLE)
  readonly #settings: TableSettings
  readonly #log: Log
  #pending = new Map<string, Fragment | undefined>()
  #isInSync = false
  #running: Promise<void> = Promise.resolve()
  #retry: NodeJS.Timeout | undefined

  constructor(settings: TableSettings, log: Log) {
    this.#settings = settings
    this.#log = log
  }

  /** What the owner shall have from the next `commit` on; undefined: nothing. */
  set(owner: string, fragment: Fragment | undefined): void {
    this.#pending.set(owner, fragment)
  }

  /** Resolves when the kernel has all that was set until now. Those who wait share a transaction. */
  commit(): Promise<void> {
    const next = this.#running.catch(() => undefined).then(() => this.#write())
    this.#running = next
    return next
  }

  close(): void {
    clearTimeout(this.#retry)
  }

  async #write(): Promise<void> {
    const changes = this.#pending
    if (changes.size === 0 && this.#isInSync) return
    this.#pending = new Map()
    const { commands, cleanUp } = this.#ruleset.change(changes)
    if (this.#isInSync) {
      try {
        await apply(commands)
        await apply(cleanUp)
        return
      } catch (error) {
        this.#isInSync = false
        this.#log.error('nftables refused a change: writing the whole table', { error })
      }
    }
    try {
      await this.#replace()
    } catch (error) {
      this.#retryLater()
      throw error
    }
  }

  /** Atomic: a packet sees the old table or the new one. */
  async #replace(): Promise<void> {
    const sticky = await this.#keptAffinity()
    await apply([
      `add table ${TABLE}`,
      `delete table ${TABLE}`,
      baseTable(this.#settings),
      ...this.#ruleset.render(),
      ...sticky,
    ])
    this.#isInSync = true
  }

  /** Clients stay with their pods when the table is replaced. */
  async #keptAffinity(): Promise<string[]> {
    const text = await run('nft', ['-j', 'list', 'sets', 'ip']).catch(() => '')
    return affinityIn(text)
      .filter(({ set }) => this.#ruleset.hasSet(set))
      .map(
        ({ set, client, seconds }) =>
          `add element ${TABLE} ${set} { ${client} expires ${seconds}s }`,
      )
  }

  #retryLater(): void {
    clearTimeout(this.#retry)
    this.#retry = setTimeout(() => {
      this.commit().catch((error: unknown) => {
        this.#log.error('nftables refuses the table', { error })
      })
    }, RETRY_MS)
    this.#retry.unref()
  }
}

async function apply(commands: readonly string[]): Promise<void> {
  if (commands.length > 0) await run('nft', ['-f', '-'], `${commands.join('\n')}\n`)
}

interface Sticky {
  set: string
  client: string
  seconds: number
}

/** The elements of affinity sets in `nft -j list sets`. */
function affinityIn(text: string): Sticky[] {
  if (text === '') return []
  const json: unknown = JSON.parse(text)
  const list = isRecord(json) && Array.isArray(json['nftables']) ? json['nftables'] : []
  return list.flatMap((each): Sticky[] => {
    const set = isRecord(each) && isRecord(each['set']) ? each['set'] : {}
    const name = String(set['name'])
    if (!name.startsWith(AFFINITY_PREFIX) || !Array.isArray(set['elem'])) return []
    return set['elem'].flatMap((element): Sticky[] => {
      const inner = isRecord(element) && isRecord(element['elem']) ? element['elem'] : {}
      const { val, expires } = inner
      if (typeof val !== 'string' || typeof expires !== 'number' || expires < 1) return []
      return [{ set: name, client: val, seconds: expires }]
    })
  })
}
