// From a container of a pod to what the engine is asked for: pure.

import type Docker from 'dockerode'
import type { ContainerToStart, Mount, PodSandbox, Security } from '../runtime.ts'
import { CONTAINER, LABELS, SANDBOX } from './engine.ts'
import { PAUSE_IMAGE } from './pause.ts'

/** Kubelet's numbers (pkg/kubelet/cm/helpers_linux.go). */
const SHARES_PER_CPU = 1024
const SHARES_MIN = 2
const SHARES_MAX = 262_144
const PERIOD_MICROS = 100_000
const QUOTA_MIN = 1000
/** Before anything else of the pod is killed. */
const SANDBOX_OOM_SCORE = -998
/** Enough for any program, too little for a fork bomb to take the machine. */
const PIDS_MAX = 8192
/** What the engine keeps of the output until the agent has taken it. */
const LOG_CONFIG = { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '3' } }

/** What is the same for all containers of this agent. */
export interface Here {
  owner: string
  /** The lowest oom_score_adj that may be asked for. */
  oomFloor: number
}

/** The process that holds the pod's namespaces. */
export function sandboxOptions(
  sandbox: PodSandbox,
  { owner, oomFloor }: Here,
): Docker.ContainerCreateOptions {
  const { uid, namespace, name, hostname, hostNetwork, hostIPC, sysctls, labels } = sandbox
  return {
    name: `k8s_POD_${name}_${namespace}_${uid}_${Date.now().toString(36)}`,
    Image: PAUSE_IMAGE,
    ...(hostNetwork ? {} : { Hostname: hostname }),
    Labels: {
      ...labels,
      [LABELS.owner]: owner,
      [LABELS.type]: SANDBOX,
      [LABELS.podUid]: uid,
      [LABELS.podName]: name,
      [LABELS.namespace]: namespace,
    },
    HostConfig: {
      NetworkMode: hostNetwork ? 'host' : 'none',
      IpcMode: hostIPC ? 'host' : 'shareable',
      CapDrop: ['ALL'],
      ReadonlyRootfs: true,
      SecurityOpt: ['no-new-privileges'],
      OomScoreAdj: Math.max(SANDBOX_OOM_SCORE, oomFloor),
      CpuShares: SHARES_MIN,
      Sysctls: { ...sysctls },
      LogConfig: { Type: 'none', Config: {} },
    },
  }
}

/** `sandbox`: the pod, and the engine's id of its sandbox. */
export function containerOptions(
  container: ContainerToStart,
  sandbox: { pod: PodSandbox; engineId: string },
  { owner, oomFloor }: Here,
): Docker.ContainerCreateOptions {
  const { id, podUid, name, attempt, image, argv, env, workdir, security } = container
  const { pod } = sandbox
  return {
    name: `k8s_${name}_${pod.name}_${pod.namespace}_${podUid}_${attempt}_${id.slice(0, 8)}`,
    Image: image.id,
    Entrypoint: [...argv],
    Cmd: [],
    Env: Object.entries(env).map(([key, value]) => `${key}=${value}`),
    ...(workdir === undefined ? {} : { WorkingDir: workdir }),
    ...userOf(security, image.user),
    Tty: container.hasTty,
    OpenStdin: container.hasStdin,
    StdinOnce: container.stdinOnce,
    // Kubernetes has its own probes.
    Healthcheck: { Test: ['NONE'] },
    Labels: {
      [LABELS.owner]: owner,
      [LABELS.id]: id,
      [LABELS.type]: CONTAINER,
      [LABELS.podUid]: podUid,
      [LABELS.podName]: pod.name,
      [LABELS.namespace]: pod.namespace,
      [LABELS.container]: name,
      [LABELS.attempt]: String(attempt),
    },
    HostConfig: {
      ...namespacesOf(sandbox),
      ...limitsOf(container),
      OomScoreAdj: Math.max(container.oomScoreAdjust, oomFloor),
      ...rightsOf(security),
      Mounts: container.mounts.map(mountOf),
      LogConfig: LOG_CONFIG,
    },
  }
}

function namespacesOf({ pod, engineId }: { pod: PodSandbox; engineId: string }): Docker.HostConfig {
  const shared = `container:${engineId}`
  return {
    NetworkMode: shared,
    IpcMode: pod.hostIPC ? 'host' : shared,
    ...(pod.hostPID ? { PidMode: 'host' } : {}),
    ...(pod.shareProcessNamespace && !pod.hostPID ? { PidMode: shared } : {}),
    ...(pod.hostNetwork ? { UTSMode: 'host' } : {}),
  }
}

function limitsOf({ limits, requests }: ContainerToStart): Docker.HostConfig {
  const { memoryBytes, cpuMillis } = limits
  const shares = Math.floor(((requests.cpuMillis ?? 0) * SHARES_PER_CPU) / 1000)
  return {
    CpuShares: Math.min(Math.max(shares, SHARES_MIN), SHARES_MAX),
    ...(cpuMillis
      ? {
          CpuPeriod: PERIOD_MICROS,
          CpuQuota: Math.max(QUOTA_MIN, Math.floor((cpuMillis * PERIOD_MICROS) / 1000)),
        }
      : {}),
    // The same with swap: none is used.
    ...(memoryBytes ? { Memory: memoryBytes, MemorySwap: memoryBytes } : {}),
    PidsLimit: PIDS_MAX,
  }
}

function rightsOf(security: Security): Docker.HostConfig {
  const options = [
    ...(security.noNewPrivileges ? ['no-new-privileges'] : []),
    ...(security.seccomp === 'Unconfined' ? ['seccomp=unconfined'] : []),
  ]
  return {
    Privileged: security.isPrivileged,
    ReadonlyRootfs: security.isRootReadOnly,
    CapAdd: [...security.addCapabilities],
    CapDrop: [...security.dropCapabilities],
    GroupAdd: security.supplementalGroups.map(String),
    ...(options.length > 0 ? { SecurityOpt: options } : {}),
    ...(security.isProcUnmasked ? { MaskedPaths: [], ReadonlyPaths: [] } : {}),
  }
}

function userOf({ runAsUser, runAsGroup }: Security, imageUser: string): { User?: string } {
  if (runAsUser === undefined && runAsGroup === undefined) return {}
  const user = runAsUser ?? (imageUser.split(':')[0] || '0')
  return { User: runAsGroup === undefined ? String(user) : `${user}:${runAsGroup}` }
}

const PROPAGATION = { HostToContainer: 'rslave', Bidirectional: 'rshared' } as const

function mountOf({ source, target, readOnly, propagation }: Mount): Docker.MountSettings {
  return {
    Type: 'bind',
    Source: source,
    Target: target,
    ReadOnly: readOnly,
    BindOptions: { Propagation: propagation ? PROPAGATION[propagation] : 'rprivate' },
  }
}
