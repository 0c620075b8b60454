// The probe against a real gRPC server.

import { fromJSON } from '@grpc/proto-loader'
import { Server, ServerCredentials, status } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { check } from './check.ts'
import type { CheckTarget } from './check.ts'

const HEALTH = fromJSON({
  nested: {
    grpc: {
      nested: {
        health: {
          nested: {
            v1: {
              nested: {
                Request: { fields: { service: { type: 'string', id: 1 } } },
                Response: { fields: { status: { type: 'int32', id: 1 } } },
                Health: {
                  methods: {
                    Check: { comment: '', requestType: 'Request', responseType: 'Response' },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
})

const ANSWERS: Readonly<Record<string, number>> = { '': 1, good: 1, ill: 2 }

describe('a grpc probe', () => {
  const server = new Server()
  let port = 0

  beforeAll(async () => {
    server.addService(serviceOf(HEALTH), {
      Check(
        call: { request: { service?: string } },
        reply: (error: object | null, value?: object) => void,
      ) {
        const { service = '' } = call.request
        const answer = ANSWERS[service.slice(0, 4)]
        if (answer === undefined) reply({ code: status.NOT_FOUND, details: 'unknown service' })
        else reply(null, { status: answer })
      },
    })
    port = await new Promise((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
        if (error) reject(error)
        else resolve(bound)
      })
    })
  })
  afterAll(() => server.forceShutdown())

  const probe = (service: string | undefined, at = port) => {
    const target: CheckTarget = {
      podIP: '10.4.1.2',
      locate: (number) => ({ host: '127.0.0.1', port: number }),
      portNumber: () => undefined,
      exec: () => {
        throw new Error('no exec')
      },
    }
    return check(
      { grpc: { port: at, ...(service === undefined ? {} : { service }) } },
      target,
      10_000,
    )
  }

  test('is good when the service serves, however long its name', async () => {
    expect(await probe(undefined)).toMatchObject({ isGood: true })
    expect(await probe('good')).toMatchObject({ isGood: true })
    expect(await probe(`good${'x'.repeat(300)}`)).toMatchObject({ isGood: true })
  })

  test('is bad when it does not serve, is not known, or nothing listens', async () => {
    expect(await probe('ill')).toEqual({
      isGood: false,
      message: 'service unhealthy (responded with "NOT_SERVING")',
    })
    const unknown = await probe('other')
    expect(unknown.message).toContain('unknown service other')
    expect(await probe('', 1)).toMatchObject({ isGood: false, isRefused: true })
  })
})

function serviceOf(definition: ReturnType<typeof fromJSON>) {
  const found = definition['grpc.health.v1.Health']
  if (!found || !('Check' in found)) throw new Error('no service')
  return found as Parameters<Server['addService']>[0]
}
