// What the story assumes. People are played by the program; how long they take stands here and on the
// page, and nowhere else. All else in a story is what happened.

/** One step of a person, after the one before it (the first: after the fault). */
export interface Reaction {
  afterMs: number
  what: string
}

/** Short for what people report of a working day, far too short for a night. */
export const REACTIONS = {
  'one-vm': [
    { afterMs: 15_000, what: 'A visitor complains; whoever is on call is phoned' },
    { afterMs: 15_000, what: 'The phone is answered' },
    { afterMs: 30_000, what: 'Logged in, found the container that has exited, started it' },
  ],
  'three-vms': [
    { afterMs: 8000, what: 'Whoever watches the dashboard sees that a VM does not answer' },
    { afterMs: 12_000, what: 'Logged in, started the frontend with the address of the backup' },
  ],
} as const satisfies Record<string, Reaction[]>

/** `--fast`: people react that many times faster, and the page says so. */
export const FASTER = 4

/** Requests a second, in each act. */
export const PER_SECOND = 10
/** A visitor waits this long for an answer. */
export const PATIENCE_MS = 10_000
/** Traffic before a fault, and after all is well. */
export const CALM_MS = 5000

/** What a visitor asks: the frontend needs both APIs to answer it. */
export const QUESTION = {
  path: '/api/classify',
  body: JSON.stringify({ traits: { cap: 'funnel', color: 'yellow' } }),
} as const

/** VMs of acts 2 and 3. */
export const VM_COUNT = 3
