// What is created below a pod: a binding (the scheduler's word) and an eviction (a polite delete).

import type { Pod } from '#shared/api/pod.ts'
import { withCondition } from '#shared/api/conditions.ts'
import { conflict, type Status } from '#shared/status.ts'
import { keyOf } from '#shared/key.ts'
import { notFound } from '#shared/status.ts'
import { retryOnConflict, tryCommit } from '../commit.ts'
import { answer, isDryRun, type KindContext } from '../context.ts'
import { decodeObject, decodeAs } from '../decode.ts'
import { fromBody } from '../delete-options.ts'
import { validateDeleteOptions } from '../deletion.ts'
import { badRequest } from '../errors.ts'
import { unversioned } from '../storage.ts'
import { wantsDryRun } from '../write-options.ts'
import { deleteOne } from './delete.ts'

const CREATED: Omit<Status, 'code'> & { code: number } = {
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Success',
  code: 201,
}

const BINDING = { group: '', version: 'v1', kind: 'Binding' } as const
const EVICTION = { group: 'policy', version: 'v1', kind: 'Eviction' } as const

/** POST pods/NAME/binding: the pod gets its node, once. */
export async function bindPod(context: KindContext): Promise<Response> {
  const body = await decodeObject(context, BINDING)
  const { target } = body
  const node =
    typeof target === 'object' && target !== null && 'name' in target ? target.name : undefined
  if (typeof node !== 'string' || !node) {
    throw badRequest('Binding "" is invalid: target.name: Required value')
  }
  const { info } = context
  const key = keyOf('pods', info.namespace, info.name)
  await retryOnConflict(context, async (reader) => {
    const pod = reader.get(key) as Pod | undefined
    if (!pod) throw notFound('pods', info.name)
    refuseBinding(pod, body.metadata?.uid)
    if (wantsDryRun(context)) return
    const object = unversioned(bound(pod, node, context.now))
    await tryCommit(context, 'bind', [
      { key, object, expect: pod.metadata.resourceVersion ?? null },
    ])
  })
  return answer(context, CREATED, { status: 201 })
}

function refuseBinding({ metadata, spec }: Pod, uid: string | undefined): void {
  const refuse = (why: string): Error => conflict('pods/binding', metadata.name, why)
  if (uid && uid !== metadata.uid) {
    throw refuse(
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`,
    )
  }
  if (metadata.deletionTimestamp !== undefined) {
    throw refuse(`pod ${metadata.name} is being deleted, cannot be assigned to a host`)
  }
  if (spec.nodeName) {
    throw refuse(`pod ${metadata.name} is already assigned to node "${spec.nodeName}"`)
  }
}

function bound(pod: Pod, nodeName: string, now: number): Pod {
  const scheduled = { type: 'PodScheduled', status: 'True' as const }
  const conditions = withCondition(pod.status?.conditions, scheduled, now)
  return { ...pod, spec: { ...pod.spec, nodeName }, status: { ...pod.status, conditions } }
}

/** POST pods/NAME/eviction. */
export async function evictPod(context: KindContext): Promise<Response> {
  const body = await decodeAs(context, [EVICTION, { ...EVICTION, version: 'v1beta1' }])
  const sent = body['deleteOptions']
  const options =
    typeof sent === 'object' && sent !== null ? fromBody(sent as Record<string, unknown>) : {}
  validateDeleteOptions(options)
  const dryRun = [...context.query.getAll('dryRun'), ...(options.dryRun ?? [])]
  await deleteOne(context, { options, isDryRun: isDryRun(dryRun) })
  return answer(context, CREATED, { status: 201 })
}
