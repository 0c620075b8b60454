import { describe, expect, test } from 'vitest'
import { credentialsFor, parseDockerConfig } from './credential.ts'

const auth = (text: string): string => Buffer.from(text).toString('base64')

function fitting(auths: Record<string, unknown>, reference: string): string[] {
  const all = parseDockerConfig(JSON.stringify({ auths })) ?? []
  return credentialsFor(reference, all).map(({ username, password }) => `${username}:${password}`)
}

describe('pull secrets', () => {
  test('are read with user and password, or both in one', () => {
    const auths = { 'a.example': { auth: auth('u:p:q') } }
    expect(fitting(auths, 'a.example/web:1')).toEqual(['u:p:q'])
    const plain = { 'a.example': { username: 'u', password: 'p' } }
    expect(fitting(plain, 'a.example/web:1')).toEqual(['u:p'])
  })

  test('of the older form have no `auths`; what is no configuration is undefined', () => {
    const text = JSON.stringify({ 'a.example': { auth: auth('u:p') } })
    expect(parseDockerConfig(text)).toEqual([
      { registry: 'a.example', username: 'u', password: 'p' },
    ])
    expect(parseDockerConfig('no')).toBeUndefined()
    expect(parseDockerConfig('[]')).toBeUndefined()
  })

  test('count for their registry only, the more specific one first', () => {
    const auths = {
      'a.example': { auth: auth('host:1') },
      'https://a.example/v2/': { auth: auth('host:2') },
      'a.example/team': { auth: auth('team:1') },
      'a.example:5000': { auth: auth('port:1') },
      'b.example': { auth: auth('other:1') },
    }
    expect(fitting(auths, 'a.example/team/web:1')).toEqual(['team:1', 'host:1', 'host:2'])
    expect(fitting(auths, 'a.example/web:1')).toEqual(['host:1', 'host:2'])
    expect(fitting(auths, 'a.example:5000/web:1')).toEqual(['port:1'])
    expect(fitting(auths, 'c.example/web:1')).toEqual([])
  })

  test('may leave a part of the host open, and know Docker Hub by its names', () => {
    expect(fitting({ '*.gcr.io': { auth: auth('u:p') } }, 'eu.gcr.io/p/web:1')).toEqual(['u:p'])
    expect(fitting({ '*.gcr.io': { auth: auth('u:p') } }, 'gcr.io/p/web:1')).toEqual([])
    const hub = { 'https://index.docker.io/v1/': { auth: auth('u:p') } }
    expect(fitting(hub, 'docker.io/library/web:1')).toEqual(['u:p'])
  })
})
