// ConfigMap and Secret: configuration and credentials that pods read.
// Shapes: https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/

import type { KubeObject } from './meta.ts'

export interface ConfigMap extends KubeObject {
  data?: Record<string, string>
  /** Values are base64. */
  binaryData?: Record<string, string>
  immutable?: boolean
}

export interface Secret extends KubeObject {
  type?: string
  /** Values are base64. */
  data?: Record<string, string>
  /** Write-only: merged into data by defaulting and dropped. */
  stringData?: Record<string, string>
  immutable?: boolean
}
