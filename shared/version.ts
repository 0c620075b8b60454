// The versions Wherry says it is. Clients choose their behaviour by them: gcloud's kubectl picks its
// own version by major and minor, gcloud parses the others as semantic versions.

/** The Kubernetes API version that is served. */
export const KUBERNETES = { major: '1', minor: '33', patch: '1' } as const

/** `1.33.1-wherry.1`: master and node version as gcloud shows them (SemVer, no `v`). */
export const CLUSTER_VERSION = `${KUBERNETES.major}.${KUBERNETES.minor}.${KUBERNETES.patch}-wherry.1`

/** `v1.33.1-wherry.1`: gitVersion of /version and kubeletVersion of nodes. */
export const GIT_VERSION = `v${CLUSTER_VERSION}`
