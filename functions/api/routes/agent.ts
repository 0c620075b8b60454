// The two endpoints of the node agent (shared/api/agent-wire.ts). Only a VM's own identity may use
// them, and only for its own node.

import type { NodeReport, ReportAnswer } from '#shared/api/agent-wire.ts'
import { StatusError } from '#shared/status.ts'
import { planReport } from '../agent/report.ts'
import { desiredState } from '../agent/desired.ts'
import { readJson } from '../body.ts'
import { retryOnConflict, tryCommit } from '../commit.ts'
import { answer, type ApiContext } from '../context.ts'
import { badRequest, methodNotAllowed, unknownPath } from '../errors.ts'

const AGENT_PATH = /^\/apis\/agent\.wherry\.dev\/v1\/nodes\/([^/]+)\/(desired|report)$/

/** The answer to an agent's request; undefined when the path is not an agent's. */
export async function agentRoute(context: ApiContext): Promise<Response | undefined> {
  if (!context.path.startsWith('/apis/agent.wherry.dev/')) return undefined
  const match = AGENT_PATH.exec(context.path)
  const node = match?.[1]
  if (!node) throw unknownPath()
  const reporter = reporterOf(context, node)
  const isRead = match[2] === 'desired'
  if (context.request.method !== (isRead ? 'GET' : 'POST')) throw methodNotAllowed()
  if (isRead) {
    return answer(context, desiredState(await context.view.catchUp(context.identity.seen), node))
  }
  return report(context, reporter)
}

function reporterOf(
  { identity, cluster }: ApiContext,
  node: string,
): { name: string; instanceId: string } {
  const own = identity.node
  if (own?.name === node && own.cluster === cluster) return own
  throw new StatusError(
    'Forbidden',
    `nodes "${node}" is forbidden: User "${identity.user}" is not the agent of this node`,
    { name: node, kind: 'nodes' },
  )
}

async function report(
  context: ApiContext,
  reporter: { name: string; instanceId: string },
): Promise<Response> {
  const news = nodeReportOf(await readJson(context.request))
  const body = await retryOnConflict(context, async (reader): Promise<ReportAnswer> => {
    const { writes, unknown } = planReport(reader, reporter, news, context.now)
    if (writes.length === 0) return { unknown }
    const { version } = await tryCommit(context, 'report', writes)
    return { version, unknown }
  })
  return answer(context, body)
}

/** The outer shape is checked; what is inside comes from our own agent, for its own objects only. */
function nodeReportOf(value: unknown): NodeReport {
  if (typeof value !== 'object' || value === null) throw badRequest('the report is no object')
  const { node, pods, events, volumesInUse, grown }: Partial<NodeReport> = value
  const isList = (part: unknown): boolean => part === undefined || Array.isArray(part)
  if (!isList(pods) || !isList(events)) throw badRequest('pods and events must be lists')
  if (node !== undefined && (typeof node !== 'object' || typeof node.metadata !== 'object')) {
    throw badRequest('node must be a Node')
  }
  if (!isList(volumesInUse) || !isList(grown)) {
    throw badRequest('volumesInUse and grown must be lists')
  }
  return {
    ...(node ? { node } : {}),
    ...(pods ? { pods } : {}),
    ...(events ? { events } : {}),
    ...(volumesInUse ? { volumesInUse: volumesInUse.filter(isText) } : {}),
    ...(grown ? { grown } : {}),
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}
