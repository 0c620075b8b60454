// How an object is named everywhere in Wherry: `pods/default/web-1`, `nodes//vm-1`,
// `deployments.apps/default/web`. The first part is Kubernetes' GroupResource text.

/** `<plural>[.<group>]/<namespace or nothing>/<name>`. */
export type Key = string

export interface KeyParts {
  resource: string
  namespace: string
  name: string
}

/** The key of an object. `namespace` is '' for cluster-scoped kinds. */
export function keyOf(resource: string, namespace: string | undefined, name: string): Key {
  return `${resource}/${namespace ?? ''}/${name}`
}

/** The three parts of a key. Names hold no slash in Kubernetes, so this cannot be ambiguous. */
export function splitKey(key: Key): KeyParts {
  const [resource = '', namespace = '', name = ''] = key.split('/')
  return { resource, namespace, name }
}
