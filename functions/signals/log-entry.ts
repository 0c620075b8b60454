// Reading what a log sink delivers: Google's LogEntry JSON, of which only the VM's or group's name
// matters. What really happened is asked of Compute Engine, never taken from here.

/** What an entry is about. */
export interface Signal {
  /** Name of a VM or of an instance group. */
  name: string
  /** `compute.instances.hostError`, `healthCheck` … for the log. */
  what: string
}

/** The audit methods after which a VM may be gone, new, or another one. */
const METHODS = new Set([
  'compute.instances.automaticRestart',
  'compute.instances.guestTerminate',
  'compute.instances.hostError',
  'compute.instances.migrateOnHostMaintenance',
  'compute.instances.preempted',
  'compute.instances.repair.recreateInstance',
  'compute.instances.terminateOnHostMaintenance',
  'v1.compute.instances.delete',
  'v1.compute.instances.insert',
  'v1.compute.instances.reset',
  'v1.compute.instances.start',
  'v1.compute.instances.stop',
])

/** Of these the beginning matters too. */
const ENDINGS = new Set(['v1.compute.instances.delete', 'v1.compute.instances.stop'])

/** Undefined for what is not understood or tells nothing about a VM. */
export function readLogEntry(data: string): Signal | undefined {
  const entry = parse(data)
  if (!isRecord(entry)) return undefined
  return auditSignal(entry) ?? healthSignal(entry)
}

function auditSignal(entry: Record<string, unknown>): Signal | undefined {
  const payload = recordOf(entry, 'protoPayload')
  const method = textOf(payload, 'methodName').replace(/^beta\./, 'v1.')
  if (!METHODS.has(method)) return undefined
  // The first of two entries of one operation: nothing has happened yet, but what begins to end is
  // best known before it has ended.
  const operation = recordOf(entry, 'operation')
  const isBeginning = operation['first'] === true && operation['last'] !== true
  if (isBeginning && !ENDINGS.has(method)) return undefined
  const [, name] = /\/instances\/([^/]+)$/.exec(textOf(payload, 'resourceName')) ?? []
  return name ? { name, what: method } : undefined
}

function healthSignal(entry: Record<string, unknown>): Signal | undefined {
  const payload = recordOf(entry, 'jsonPayload')
  const labels = recordOf(recordOf(entry, 'resource'), 'labels')
  if (isRecord(payload['healthCheckProbeResult'])) {
    const name = textOf(labels, 'instance_group_name')
    return name ? { name, what: 'healthCheck' } : undefined
  }
  if (!isRecord(payload['instanceHealthStateChange'])) return undefined
  const name = textOf(labels, 'instance_group_manager_name')
  return name ? { name, what: 'instanceHealthStateChange' } : undefined
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function recordOf(from: Record<string, unknown>, field: string): Record<string, unknown> {
  const value = from[field]
  return isRecord(value) ? value : {}
}

function textOf(from: Record<string, unknown>, field: string): string {
  const value = from[field]
  return typeof value === 'string' ? value : ''
}
