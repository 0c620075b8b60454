// The api function as functions-framework wants it: a plain (req, res). The framework has read the
// body by then; its exact bytes stand in req.rawBody, which the listener finds by itself.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import type { Hono } from 'hono'

export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>

/** The exported function. `app` comes from createApi. */
export function createHandler(app: Hono): Handler {
  const listener = getRequestListener((request) => app.fetch(request), {
    overrideGlobalObjects: false,
  })
  return (request, response) => listener(request, response)
}
