// Collects one owner's part of the table.

import type { Fragment } from './ruleset.ts'

export class FragmentDraft {
  readonly #chains = new Map<string, readonly string[]>()
  readonly #shared = new Map<string, readonly string[]>()
  readonly #sets = new Map<string, string>()
  readonly #elements = new Map<string, Map<string, string>>()

  /** A chain of the owner's own. */
  chain(name: string, rules: readonly string[]): void {
    this.#chains.set(name, rules)
  }

  /** A chain that others use as well; equal names have equal rules. */
  shared(name: string, rules: readonly string[]): void {
    this.#shared.set(name, rules)
  }

  set(name: string, declaration: string): void {
    this.#sets.set(name, declaration)
  }

  /** An element of a map, or of a set (no value). */
  element(set: string, key: string, value = ''): void {
    const elements = this.#elements.get(set) ?? new Map<string, string>()
    elements.set(key, value)
    this.#elements.set(set, elements)
  }

  fragment(): Fragment {
    return {
      chains: this.#chains,
      shared: this.#shared,
      sets: this.#sets,
      elements: this.#elements,
    }
  }
}
