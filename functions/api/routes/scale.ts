// The scale subresource: how many replicas, as one small object that autoscalers and kubectl scale
// understand whatever the kind (autoscaling/v1 Scale).

import type { KubeObject, LabelSelector } from '#shared/api/meta.ts'
import { formatSelector, selectorOf } from '#shared/selector.ts'
import { invalid } from '#shared/status.ts'
import { answer, shapeOf, type KindContext } from '../context.ts'
import { decodeObject } from '../decode.ts'
import { modify } from '../modify.ts'
import { applyPatch, readPatch } from '../patch.ts'
import type { Body } from '../strategy.ts'
import { storedObject } from './read.ts'

export const SCALE = { group: 'autoscaling', version: 'v1', kind: 'Scale' } as const

interface Scale extends KubeObject {
  spec: { replicas?: number }
  status: { replicas: number; selector?: string }
}

type Scalable = KubeObject & {
  spec?: { replicas?: number; selector?: LabelSelector | Record<string, string> }
  status?: { replicas?: number }
}

/** GET, PUT and PATCH of …/scale. */
export async function scaleRoute(context: KindContext): Promise<Response> {
  const { format } = shapeOf(context)
  const { verb } = context.info
  if (verb === 'get') return answer(context, scaleOf(await storedObject(context)), { format })
  if (verb === 'update') {
    const body = await decodeObject(context, SCALE)
    return answer(context, await rescale(context, () => body), { format })
  }
  const patch = await readPatch(context)
  const change = (old: Scale): Body => applyPatch(context, patch, old, SCALE)
  return answer(context, await rescale(context, change), { format })
}

async function rescale(context: KindContext, wish: (old: Scale) => Body): Promise<Scale> {
  const object = await modify(context, {
    verb: context.info.verb,
    part: 'spec',
    subresource: 'scale',
    change(old: Scalable) {
      const scale = wish(scaleOf(old))
      const replicas = replicasOf(scale, old.metadata.name)
      const resourceVersion = scale.metadata?.resourceVersion ?? old.metadata.resourceVersion
      const uid = scale.metadata?.uid ?? old.metadata.uid
      return {
        ...old,
        metadata: {
          ...old.metadata,
          name: scale.metadata?.name ?? '',
          uid,
          ...(resourceVersion ? { resourceVersion } : {}),
        },
        spec: { ...old.spec, replicas },
      }
    },
  })
  return scaleOf(object)
}

function replicasOf(scale: Body, name: string): number {
  const { spec } = scale
  const replicas =
    typeof spec === 'object' && spec !== null && 'replicas' in spec ? spec.replicas : 0
  if (typeof replicas === 'number' && Number.isInteger(replicas) && replicas >= 0) return replicas
  throw invalid('Scale', 'autoscaling', name, [
    {
      reason: 'FieldValueInvalid',
      field: 'spec.replicas',
      message: `Invalid value: ${JSON.stringify(replicas)}: must be greater than or equal to 0`,
    },
  ])
}

/** An object's scale. */
export function scaleOf(object: Scalable): Scale {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata
  const selector = selectorText(object.spec?.selector)
  return {
    apiVersion: 'autoscaling/v1',
    kind: 'Scale',
    metadata: {
      name,
      ...(namespace ? { namespace } : {}),
      uid,
      ...(resourceVersion ? { resourceVersion } : {}),
      creationTimestamp,
    },
    spec: object.spec?.replicas === undefined ? {} : { replicas: object.spec.replicas },
    status: { replicas: object.status?.replicas ?? 0, ...(selector ? { selector } : {}) },
  }
}

function selectorText(selector: LabelSelector | Record<string, string> | undefined): string {
  if (!selector) return ''
  if ('matchLabels' in selector || 'matchExpressions' in selector) {
    return formatSelector(selectorOf(selector))
  }
  return formatSelector(selectorOf({ matchLabels: selector as Record<string, string> }))
}
