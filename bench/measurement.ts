// What every benchmark answers with: `npm run bench -- NAME --json` prints a list of these.

export interface Measurement {
  /** Dotted, from general to special: `rollout.create.writes`. */
  name: string
  /** `s`, `ms`, `1/s`, `count`, `ratio`, `bytes` … */
  unit: string
  value: number
  /** Anything else a reader needs, e.g. `{ runs: 10 }`. */
  note?: string
}

/** A benchmark: bench/NAME.ts exports `measure`. `args` is what follows the name. */
export type Measure = (args: readonly string[]) => Promise<Measurement[]>

/** What a page below docs/ says of it: bench/NAME.ts exports `section`, and `--markdown` writes it. */
export interface Section {
  /** `networking`: docs/networking.md. */
  page: string
  /** As the page's comments name its place. */
  name: string
  /** Markdown. Error: something was not measured. */
  text(measurements: readonly Measurement[]): string
}
