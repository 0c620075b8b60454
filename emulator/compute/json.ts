// Reading request bodies: JSON from a client, of which nothing is known until it was looked at.

import { invalidField } from './google-error.ts'

export type Json = Record<string, unknown>

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A text field, or undefined when it is absent or empty. Numbers are int64 in texts or bare. */
export function textOf(body: Json, field: string): string | undefined {
  const value = body[field]
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  throw invalidField(`resource.${field}`, JSON.stringify(value), 'Must be a text.')
}

export function needText(body: Json, field: string): string {
  const text = textOf(body, field)
  if (text === undefined) throw invalidField(`resource.${field}`, '', 'Required field is missing.')
  return text
}

export function numberOf(body: Json, field: string): number | undefined {
  const text = textOf(body, field)
  if (text === undefined) return undefined
  const number = Number(text)
  if (!Number.isFinite(number)) {
    throw invalidField(`resource.${field}`, text, 'Must be a number.')
  }
  return number
}

export function objectOf(body: Json, field: string): Json | undefined {
  const value = body[field]
  if (value === undefined || value === null) return undefined
  if (isJson(value)) return value
  throw invalidField(`resource.${field}`, JSON.stringify(value), 'Must be an object.')
}

export function objectsOf(body: Json, field: string): Json[] {
  const value = body[field]
  if (value === undefined || value === null) return []
  if (Array.isArray(value) && value.every(isJson)) return value
  throw invalidField(`resource.${field}`, JSON.stringify(value), 'Must be a list of objects.')
}

export function textsOf(body: Json, field: string): string[] {
  const value = body[field]
  if (value === undefined || value === null) return []
  if (Array.isArray(value)) return value.map(String)
  throw invalidField(`resource.${field}`, JSON.stringify(value), 'Must be a list of texts.')
}

export function textMapOf(body: Json, field: string): Record<string, string> {
  const value = objectOf(body, field) ?? {}
  return Object.fromEntries(Object.entries(value).map(([key, text]) => [key, String(text)]))
}

const NAME = /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/

/** RFC 1035 names, as Compute Engine wants them. */
export function needName(body: Json): string {
  const name = needText(body, 'name')
  if (NAME.test(name)) return name
  throw invalidField(
    'resource.name',
    name,
    "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'",
  )
}
