// What the deploy function is made of.

import type { Bus } from '#shared/ports/bus.ts'
import type { Clock } from '#shared/ports/clock.ts'
import type { Log } from '#shared/ports/log.ts'
import type { Timers } from '#shared/ports/timers.ts'
import type { Pod } from '#shared/api/pod.ts'
import type { Repository } from '#shared/api/repository.ts'
import type { FoundTag, ImageWant } from '#shared/deploy/images.ts'
import type { Key } from '#shared/key.ts'
import type { Reader } from '#shared/view/reader.ts'
import type { LiveView, LiveViews } from '../cluster/live-view.ts'
import type { Github } from './github.ts'

export interface DeploysDeps {
  views: LiveViews
  bus: Bus
  timers: Timers
  clock: Clock
  log: Log
  /** Where GitHub's API is for this `owner/name`: `https://api.github.com`. */
  githubUrl: (repository: string) => string
  fetch?: typeof fetch
  /** How a browser opens a load balancer's address; the address itself unless said otherwise. */
  urlOfAddress?: (address: string, port: number) => string | undefined
  /** The last lines of a failing pod; undefined when they cannot be had. */
  lastLines?: (cluster: string, pod: Pod, reader: Reader) => Promise<string | undefined>
  newId?: () => string
}

/** One Repository while it is looked after. */
export interface Tending {
  deps: Required<Omit<DeploysDeps, 'newId' | 'fetch'>> & { newId: () => string }
  cluster: string
  live: LiveView
  key: Key
  github: (repository: Repository, reader: Reader) => Promise<Github>
  findImage: (
    repository: Repository,
    reader: Reader,
    want: ImageWant,
  ) => Promise<FoundTag | undefined>
}
