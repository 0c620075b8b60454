import { expect, test } from 'vitest'
import { withSection } from './page.ts'

const page = (text: string): string =>
  `# Page\n\n<!-- starts: written by the measurement -->\n\n${text}\n\n<!-- starts ends -->\n\nthe rest\n`

test('a section is replaced, and what stands around it stays', () => {
  expect(withSection(page('old'), 'starts', '\nnew\n')).toBe(page('new'))
  expect(() => withSection(page('old'), 'other', 'new')).toThrow('no section other')
})
