import type { KubeObject } from '#shared/api/meta.ts'
import type { KindContext } from './context.ts'

export function trackedManagers(
  _context: KindContext,
  _old: KubeObject | undefined,
  draft: KubeObject,
  _subresource: string,
): KubeObject {
  return draft
}
