// What a plain VM is told and what it answers: plain-machines.ts speaks, plain-vm.ts obeys.

/** What `docker run` would be given. */
export interface PlainContainer {
  name: string
  /** `wherry/mushroom-frontend:1.0`. */
  image: string
  env: Readonly<Record<string, string>>
}

export interface ContainerState {
  name: string
  /** Undefined: it runs. */
  exitCode: number | undefined
}

export type Order = { id: number } & (
  | { does: 'run'; container: PlainContainer }
  | { does: 'start' | 'kill'; name: string }
  | { does: 'list' }
)

export type Reply = { id: number } & ({ containers: ContainerState[] } | { error: string })
