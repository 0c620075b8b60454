// Request bodies: bounded, and read as what their Content-Type says.

import { parse as parseYaml, YAMLParseError } from 'yaml'
import { StatusError } from '#shared/status.ts'
import { badRequest } from './errors.ts'

/** As kube-apiserver's MaxRequestBodyBytes. */
export const MAX_BODY_BYTES = 3 * 1024 * 1024

/** The whole body. Error: RequestEntityTooLarge, before more than the bound is kept. */
export async function readBody(request: Request, max = MAX_BODY_BYTES): Promise<Uint8Array> {
  const announced = Number(request.headers.get('content-length') ?? '0')
  if (announced > max) throw tooLarge(max)
  if (!request.body) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of request.body) {
    length += chunk.byteLength
    if (length > max) throw tooLarge(max)
    chunks.push(chunk)
  }
  const only = chunks[0]
  return chunks.length === 1 && only ? only : Buffer.concat(chunks, length)
}

function tooLarge(max: number): StatusError {
  return new StatusError('RequestEntityTooLarge', `Request entity too large: limit is ${max}`)
}

/** `application/json` of `application/json; charset=utf-8`; '' when there is none. */
export function mediaTypeOf(request: Request): string {
  const [type = ''] = (request.headers.get('content-type') ?? '').split(';')
  return type.trim().toLowerCase()
}

/** 415 in Kubernetes' words. */
export function unsupportedMediaType(accepted: readonly string[]): StatusError {
  return new StatusError(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
  )
}

/** A body that is JSON, whatever it says of itself. Error: BadRequest. */
export async function readJson(request: Request): Promise<unknown> {
  return parseJson(textOf(await readBody(request)))
}

/** Error: BadRequest. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw badRequest(`couldn't get version/kind; json parse error: ${messageOf(error)}`)
  }
}

/** YAML 1.1 booleans are texts here, as in Kubernetes' JSON-minded parser. Error: BadRequest. */
export function parseYamlText(text: string): unknown {
  try {
    // Its warnings quote the document, which may be a Secret.
    return parseYaml(text, { maxAliasCount: 100, logLevel: 'error' })
  } catch (error) {
    if (error instanceof YAMLParseError || error instanceof ReferenceError) {
      throw badRequest(`error converting YAML to JSON: yaml: ${messageOf(error)}`)
    }
    throw error
  }
}

/** Error: BadRequest when the bytes are not UTF-8. */
export function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw badRequest('the body is not UTF-8')
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
