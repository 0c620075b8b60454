// The part of a package-lock.json that some of its packages need, so that a build elsewhere installs
// exactly what was tested here.

interface LockedPackage {
  version?: string
  resolved?: string
  dev?: boolean
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
  peerDependenciesMeta?: Record<string, { optional?: boolean }>
}

export interface Lockfile {
  lockfileVersion: number
  /** By folder: `node_modules/a`, `node_modules/a/node_modules/b`; '' is the project. */
  packages: Record<string, LockedPackage>
}

export interface Manifest {
  name: string
  version: string
  dependencies: Record<string, string>
}

/** The version of a package of the project. Error: it is not locked. */
export function versionIn(lock: Lockfile, name: string): string {
  const version = lock.packages[`node_modules/${name}`]?.version
  if (!version) throw new Error(`package-lock.json does not know ${name}`)
  return version
}

/** A lock file for another project with these dependencies, of versions that are in `lock`. */
export function lockFor(lock: Lockfile, manifest: Manifest): object {
  const { name, version, dependencies } = manifest
  const packages: Record<string, LockedPackage> = {}
  const left = Object.keys(dependencies).map((dependency) => ({ from: '', dependency }))
  for (let next = left.pop(); next; next = left.pop()) {
    const path = find(lock, next.from, next.dependency)
    if (!path || packages[path]) continue
    const { resolved: _, dev: __, ...locked } = lock.packages[path] ?? {}
    packages[path] = locked
    for (const dependency of wantsOf(locked)) left.push({ from: path, dependency })
  }
  const sorted = Object.entries(packages).sort(([left], [right]) => (left < right ? -1 : 1))
  return {
    name,
    version,
    lockfileVersion: lock.lockfileVersion,
    requires: true,
    packages: { '': manifest, ...Object.fromEntries(sorted) },
  }
}

function wantsOf(locked: LockedPackage): string[] {
  const { dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta } = locked
  const peers = Object.keys(peerDependencies ?? {}).filter(
    (name) => peerDependenciesMeta?.[name]?.optional !== true,
  )
  return [...Object.keys({ ...dependencies, ...optionalDependencies }), ...peers]
}

/** As Node looks for it: beside the package that wants it, then ever further up. */
function find(lock: Lockfile, from: string, name: string): string | undefined {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    const path = at ? `${at}/node_modules/${name}` : `node_modules/${name}`
    if (lock.packages[path]) return path
    if (!at) return undefined
  }
}
