// What the table shall hold, as data: every owner (a Service, a pod, a policy) has a fragment, and a
// change of some fragments becomes one transaction of just what differs. Pure.
//
// Where two owners claim one element (two Services with the same external address), the first by name
// has it, as long as it claims it: the same on every node and after every restart.

/** What one owner has in the table. */
export interface Fragment {
  /** Chains of its own: name → rules. */
  chains?: ReadonlyMap<string, readonly string[]>
  /** Sets of its own: name → declaration (`type ipv4_addr`). A name never changes its declaration. */
  sets?: ReadonlyMap<string, string>
  /** Elements of sets and maps, its own or the table's: `SET` → key → value; '' in a set. */
  elements: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** Chains that owners share, made while anybody needs them: name → rules. */
  shared?: ReadonlyMap<string, readonly string[]>
}

/** One transaction, and what can go only after it: chains and sets that nothing points to any more. */
export interface Plan {
  commands: string[]
  cleanUp: string[]
}

/** Elements in one command: a command's text stays small enough for nft's parser. */
const CHUNK = 400

interface Claim {
  owner: string
  value: string
}

/** An element's place: the set's name and the key. */
interface Place {
  set: string
  key: string
}

export class Ruleset {
  readonly #table: string
  readonly #fragments = new Map<string, Fragment>()
  /** By `SET KEY`; sorted by owner, the first counts. */
  readonly #claims = new Map<string, Claim[]>()
  readonly #shared = new Map<string, { users: number; rules: readonly string[] }>()
  /** Owner → the shared chains in whose count it is. */
  readonly #counted = new Map<string, readonly string[]>()

  /** `table`: family and name, `ip wherry`. */
  constructor(table: string) {
    this.#table = table
  }

  fragment(owner: string): Fragment | undefined {
    return this.#fragments.get(owner)
  }

  /** Takes the changes over and answers what they mean for a table that had all earlier ones. */
  change(changes: ReadonlyMap<string, Fragment | undefined>): Plan {
    const touched = new Map<string, { place: Place; before: string | undefined }>()
    const chains = new Map<string, readonly string[] | undefined>()
    const sets = new Map<string, string | undefined>()
    for (const [owner, after] of changes) {
      const before = this.#fragments.get(owner)
      this.#changeElements(owner, before, after, touched)
      noteDifference(before?.chains, after?.chains, chains, isSameList)
      noteDifference(before?.sets, after?.sets, sets, Object.is)
      if (after) this.#fragments.set(owner, after)
      else this.#fragments.delete(owner)
    }
    this.#changeShared(changes, chains)
    return this.#planOf(touched, chains, sets)
  }

  /** Everything, for an empty table. `elements`: further ones, of sets that exist. */
  render(): string[] {
    const fragments = [...this.#fragments.values()]
    const sets = fragments.flatMap((fragment) => [...(fragment.sets ?? [])])
    const chains = [
      ...[...this.#shared].map(([name, { rules }]) => [name, rules] as const),
      ...fragments.flatMap((fragment) => [...(fragment.chains ?? [])]),
    ]
    const elements = [...this.#claims].map(([id, [claim]]) => ({
      ...placeOf(id),
      value: claim?.value ?? '',
    }))
    return [
      ...sets.map(([name, declaration]) => this.#addSet(name, declaration)),
      ...chains.map(([name]) => `add chain ${this.#table} ${name}`),
      ...this.#elements('add', elements),
      ...chains.flatMap(([name, rules]) => this.#addRules(name, rules)),
    ]
  }

  /** True when a set of this name is wanted. */
  hasSet(name: string): boolean {
    return [...this.#fragments.values()].some(({ sets }) => sets?.has(name) === true)
  }

  #changeElements(
    owner: string,
    before: Fragment | undefined,
    after: Fragment | undefined,
    touched: Map<string, { place: Place; before: string | undefined }>,
  ): void {
    const touch = (set: string, key: string, value: string | undefined): void => {
      const id = idOf(set, key)
      const claims = this.#claims.get(id) ?? []
      if (!touched.has(id)) touched.set(id, { place: { set, key }, before: claims[0]?.value })
      const rest = claims.filter((claim) => claim.owner !== owner)
      if (value !== undefined) rest.push({ owner, value })
      rest.sort((a, b) => (a.owner < b.owner ? -1 : 1))
      if (rest.length > 0) this.#claims.set(id, rest)
      else this.#claims.delete(id)
    }
    for (const [set, elements] of before?.elements ?? []) {
      const kept = after?.elements.get(set)
      for (const key of elements.keys()) if (!kept?.has(key)) touch(set, key, undefined)
    }
    for (const [set, elements] of after?.elements ?? []) {
      const old = before?.elements.get(set)
      for (const [key, value] of elements) if (old?.get(key) !== value) touch(set, key, value)
    }
  }

  #changeShared(
    changes: ReadonlyMap<string, Fragment | undefined>,
    chains: Map<string, readonly string[] | undefined>,
  ): void {
    for (const [owner, after] of changes) {
      const before = this.#counted.get(owner) ?? []
      const now = [...(after?.shared ?? [])]
      for (const [name, rules] of now) {
        const entry = this.#shared.get(name) ?? { users: 0, rules }
        if (entry.users === 0 && !chains.has(name)) chains.set(name, rules)
        else if (entry.users === 0) chains.delete(name)
        this.#shared.set(name, { users: entry.users + 1, rules })
      }
      for (const name of before) {
        const entry = this.#shared.get(name)
        if (!entry) continue
        entry.users--
        if (entry.users > 0) continue
        this.#shared.delete(name)
        // Made and given up within one change: it was never in the table.
        if (chains.get(name)) chains.delete(name)
        else chains.set(name, undefined)
      }
      if (after)
        this.#counted.set(
          owner,
          now.map(([name]) => name),
        )
      else this.#counted.delete(owner)
    }
  }

  #planOf(
    touched: ReadonlyMap<string, { place: Place; before: string | undefined }>,
    chains: ReadonlyMap<string, readonly string[] | undefined>,
    sets: ReadonlyMap<string, string | undefined>,
  ): Plan {
    const removed: (Place & { value: string })[] = []
    const added: (Place & { value: string })[] = []
    for (const [id, { place, before }] of touched) {
      const after = this.#claims.get(id)?.[0]?.value
      if (before === after) continue
      // A set that goes takes its elements along.
      const isGoing = sets.has(place.set) && sets.get(place.set) === undefined
      if (before !== undefined && !isGoing) removed.push({ ...place, value: before })
      if (after !== undefined) added.push({ ...place, value: after })
    }
    const table = this.#table
    const written = [...chains].filter((each): each is [string, readonly string[]] => !!each[1])
    const gone = [...chains].filter(([, rules]) => !rules).map(([name]) => name)
    const newSets = [...sets].filter((each): each is [string, string] => each[1] !== undefined)
    const goneSets = [...sets].filter(([, each]) => each === undefined).map(([name]) => name)
    return {
      commands: [
        ...newSets.map(([name, declaration]) => this.#addSet(name, declaration)),
        ...written.map(([name]) => `add chain ${table} ${name}`),
        ...[...written.map(([name]) => name), ...gone].map(
          (name) => `flush chain ${table} ${name}`,
        ),
        ...this.#elements('delete', removed),
        ...this.#elements('add', added),
        ...written.flatMap(([name, rules]) => this.#addRules(name, rules)),
      ],
      cleanUp: [
        ...gone.map((name) => `delete chain ${table} ${name}`),
        ...goneSets.map((name) => `delete set ${table} ${name}`),
      ],
    }
  }

  #addSet(name: string, declaration: string): string {
    return `add set ${this.#table} ${name} { ${declaration} }`
  }

  #addRules(chain: string, rules: readonly string[]): string[] {
    return rules.map((rule) => `add rule ${this.#table} ${chain} ${rule}`)
  }

  #elements(verb: 'add' | 'delete', elements: readonly (Place & { value: string })[]): string[] {
    return [...Map.groupBy(elements, ({ set }) => set)].flatMap(([set, list]) => {
      const texts = list.map(({ key, value }) => (value ? `${key} : ${value}` : key))
      const commands: string[] = []
      for (let start = 0; start < texts.length; start += CHUNK) {
        const chunk = texts.slice(start, start + CHUNK).join(', ')
        commands.push(`${verb} element ${this.#table} ${set} { ${chunk} }`)
      }
      return commands
    })
  }
}

/** Records what is new, other or gone (undefined) in `after`. */
function noteDifference<T>(
  before: ReadonlyMap<string, T> | undefined,
  after: ReadonlyMap<string, T> | undefined,
  into: Map<string, T | undefined>,
  isSame: (a: T, b: T) => boolean,
): void {
  for (const name of before?.keys() ?? []) if (!after?.has(name)) into.set(name, undefined)
  for (const [name, value] of after ?? []) {
    const old = before?.get(name)
    if (old === undefined || !isSame(old, value)) into.set(name, value)
  }
}

function isSameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((each, index) => each === b[index])
}

function idOf(set: string, key: string): string {
  return `${set} ${key}`
}

function placeOf(id: string): Place {
  const end = id.indexOf(' ')
  return { set: id.slice(0, end), key: id.slice(end + 1) }
}
