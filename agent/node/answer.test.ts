import { expect, test } from 'vitest'
import { ANSWERED_ANNOTATION, ASKED_ANNOTATION, type Node } from '#shared/api/node.ts'
import { createAnswers } from './answer.ts'

const asked = (at: string, answered?: string): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {
    name: 'vm',
    uid: 'vm',
    creationTimestamp: '',
    annotations: {
      [ASKED_ANNOTATION]: at,
      ...(answered === undefined ? {} : { [ANSWERED_ANNOTATION]: answered }),
    },
  },
  spec: {},
})

function setUp(): {
  told: string[]
  sick: { is: boolean }
  answer: ReturnType<typeof createAnswers>
} {
  const told: string[] = []
  const sick = { is: false }
  const answer = createAnswers({
    check: async () => {
      if (sick.is) throw new Error('the runtime does not answer')
    },
    tell: async (annotations) => void told.push(annotations[ANSWERED_ANNOTATION] ?? ''),
  })
  return { told, sick, answer }
}

test('each question is answered once', async () => {
  const { told, answer } = setUp()
  await answer(undefined)
  await answer(asked('1'))
  await answer(asked('1'))
  await answer(asked('2', '1'))
  await answer(asked('2', '2'))
  expect(told).toEqual(['1', '2'])
})

test('who cannot run containers is silent, and answers when he can again', async () => {
  const { told, sick, answer } = setUp()
  sick.is = true
  await answer(asked('1'))
  expect(told).toEqual([])
  sick.is = false
  await answer(asked('1'))
  expect(told).toEqual(['1'])
})
