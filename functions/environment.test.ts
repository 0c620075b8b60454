import { describe, expect, it } from 'vitest'
import { FUNCTIONS, readEnvironment, VARIABLES, variablesOf } from './environment.ts'

describe('readEnvironment', () => {
  it('answers what is set, and what is usual for the rest', () => {
    expect(
      readEnvironment({ WHERRY_PROJECT: 'my-project' }, ['WHERRY_PROJECT', 'WHERRY_DATABASE']),
    ).toEqual({ WHERRY_PROJECT: 'my-project', WHERRY_DATABASE: '(default)' })
  })

  it('names everything that is missing or malformed, and no value', () => {
    const read = (): unknown =>
      readEnvironment({ WHERRY_API_URL: 'http://insecure' }, [
        'WHERRY_PROJECT',
        'WHERRY_API_URL',
        'WHERRY_QUEUE',
      ])
    expect(read).toThrow(/WHERRY_PROJECT is not set \(the Google Cloud project\)/)
    expect(read).toThrow(/WHERRY_API_URL is malformed/)
    expect(read).toThrow(/WHERRY_QUEUE is not set/)
    expect(read).not.toThrow(/insecure/)
  })

  it('takes a stand-in for Google only on loopback and beside an emulator', () => {
    const double = 'http://127.0.0.1:1234'
    const read = (env: Record<string, string>): unknown =>
      readEnvironment(env, ['WHERRY_GOOGLE_DOUBLE'])
    expect(() => read({ WHERRY_GOOGLE_DOUBLE: double })).toThrow(/refused/)
    const emulated = { FIRESTORE_EMULATOR_HOST: '127.0.0.1:8080' }
    expect(read({ WHERRY_GOOGLE_DOUBLE: double, ...emulated })).toEqual({
      WHERRY_GOOGLE_DOUBLE: double,
    })
    expect(() => read({ WHERRY_GOOGLE_DOUBLE: 'http://evil.example', ...emulated })).toThrow(
      /malformed/,
    )
  })

  it('knows of every variable who reads it', () => {
    for (const { readBy } of Object.values(VARIABLES))
      expect(FUNCTIONS).toEqual(expect.arrayContaining([...readBy]))
    expect(variablesOf('signals')).not.toContain('WHERRY_QUEUE')
  })
})
