// Who speaks to the api function in Google Cloud: VMs by their identity token, people and tools by
// Google access tokens, whose power over the project's clusters is asked of Google.

import type { LiveViews } from './cluster/live-view.ts'
import { CLUSTERS, FLEET } from '#shared/api/cluster.ts'
import { keyOf } from '#shared/key.ts'
import { VIEWERS } from './api/authorize.ts'
import type { Authenticate, Identity } from './api/deps.ts'

export interface PeopleDeps {
  views: LiveViews
  /** Proves that a token is a VM's, of the cluster that is spoken to. */
  vm: Authenticate
  /** Whose access token it is and what it may do in the project. */
  google: (
    token: string,
  ) => Promise<{ email: string; canRead: boolean; canWrite: boolean } | undefined>
}

const TOKEN_MAX = 8192
const AUTHENTICATED = 'system:authenticated'

/** Answers undefined for whom nobody vouches. A cluster that is not in the fleet lets nobody in. */
export function createPeople({ views, vm, google }: PeopleDeps): Authenticate {
  return async (token, request) => {
    if (token.length > TOKEN_MAX) return undefined
    const machine = await vm(token, request)
    if (machine) return machine
    // An identity token is signed for somebody; it is not passed on to anybody else.
    if (isJwt(token)) return undefined
    const caller = await google(token)
    if (!caller?.canRead) return undefined
    const identity: Identity = {
      user: caller.email,
      groups: [caller.canWrite ? 'system:masters' : VIEWERS, AUTHENTICATED],
    }
    if (!request || (await isInFleet(views, request.cluster))) return identity
    return { ...identity, clusters: [] }
  }
}

/** Three parts of which the first is a JSON object; access tokens may have dots as well. */
function isJwt(token: string): boolean {
  return token.split('.').length === 3 && token.startsWith('eyJ')
}

/** Without a read when it is known; a new one is looked for. */
async function isInFleet(views: LiveViews, cluster: string): Promise<boolean> {
  const key = keyOf(CLUSTERS, '', cluster)
  const fleet = await views.open(FLEET)
  if (fleet.current.get(key)) return true
  return (await fleet.catchUp()).get(key) !== undefined
}
