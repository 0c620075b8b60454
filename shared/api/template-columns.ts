// The -o wide cells of everything that makes pods: CONTAINERS, IMAGES, SELECTOR.

import { formatSelector, selectorOf } from '../selector.ts'
import { NONE, wideColumn } from './columns.ts'
import type { Cell, Column } from './kind.ts'
import type { LabelSelector } from './meta.ts'
import type { PodSpec, PodTemplateSpec } from './pod.ts'

export const CONTAINER_COLUMNS: readonly Column[] = [
  wideColumn('Containers', 'Names of each container in the template.'),
  wideColumn('Images', 'Images referenced by each container in the template.'),
]

export const SELECTOR_COLUMN: Column = wideColumn('Selector', 'Labels that its pods carry.')

/** Cells of CONTAINER_COLUMNS. */
export function containerCells(template: PodTemplateSpec | undefined): Cell[] {
  const containers: PodSpec['containers'] = template?.spec?.containers ?? []
  return [
    containers.map(({ name }) => name).join(','),
    containers.map(({ image }) => image ?? '').join(','),
  ]
}

/** The cell of SELECTOR_COLUMN. */
export function selectorCell(selector: LabelSelector | undefined): string {
  return formatSelector(selectorOf(selector)) || NONE
}
