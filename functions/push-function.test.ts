import { describe, expect, it } from 'vitest'
import { createMemoryLog } from '#emulator/adapters/memory-log.ts'
import { createPushFunction, type PushFunctionDeps } from './push-function.ts'

async function call(
  deps: Partial<PushFunctionDeps>,
  method = 'POST',
): Promise<{ status: number; handled: unknown[]; logged: string }> {
  const handled: unknown[] = []
  const log = createMemoryLog()
  const response = { statusCode: 0, end: () => undefined }
  const push = createPushFunction({
    log,
    verify: async () => ({ verdict: 'accepted' }),
    handle: async (body) => void handled.push(body),
    ...deps,
  })
  await push({ method, headers: { authorization: 'Bearer s3cret' }, body: { a: 1 } }, response)
  return { status: response.statusCode, handled, logged: JSON.stringify(log.entries) }
}

describe('a function that Google calls', () => {
  it('handles what an accepted caller brings and acknowledges it', async () => {
    expect(await call({})).toMatchObject({ status: 204, handled: [{ a: 1 }] })
  })

  it('handles nothing for a refused caller, nor while callers cannot be checked', async () => {
    const refused = await call({ verify: async () => ({ verdict: 'refused', why: 'x' }) })
    expect(refused).toMatchObject({ status: 401, handled: [] })
    expect(refused.logged).not.toContain('s3cret')
    expect(
      await call({ verify: async () => ({ verdict: 'unavailable', why: 'x' }) }),
    ).toMatchObject({ status: 503, handled: [] })
  })

  it('asks for another delivery when it did not succeed', async () => {
    const handle = (): Promise<void> => Promise.reject(new Error('the store is away'))
    expect(await call({ handle })).toMatchObject({ status: 503 })
  })

  it('takes nothing but a POST', async () => {
    expect(await call({}, 'GET')).toMatchObject({ status: 405, handled: [] })
  })
})
