import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { findImages, pickImage } from './images.ts'
import { normaliseImage } from './runtime.ts'

describe('image names', () => {
  test.each([
    ['web', 'docker.io/library/web:latest'],
    ['dlops/tic-tac-toe', 'docker.io/dlops/tic-tac-toe:latest'],
    ['dlops/tic-tac-toe:v2', 'docker.io/dlops/tic-tac-toe:v2'],
    ['gcr.io/p/web', 'gcr.io/p/web:latest'],
    ['localhost:5000/web:1', 'localhost:5000/web:1'],
    ['web@sha256:ab', 'docker.io/library/web@sha256:ab'],
    ['Web', undefined],
    ['a//b', undefined],
    ['', undefined],
  ])('%s is %s', (name, expected) => {
    expect(normaliseImage(name)).toBe(expected)
  })
})

describe('image folders', () => {
  let folder: string
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'wherry-images-'))))
  afterEach(() => rmSync(folder, { recursive: true }))
  const write = (path: string, content: unknown): void => {
    const file = join(folder, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  }

  test('are found up to three levels down, by name and tag', async () => {
    write('a/b/c/image.json', { name: 'x/deep', tags: ['1', '2'], cmd: ['run'] })
    write('a/b/c/d/image.json', { name: 'x/inside-an-image' })
    write('e/f/g/h/image.json', { name: 'x/too-deep' })
    write('node_modules/p/image.json', { name: 'x/package' })
    write('torn/image.json', '{"name":')
    const images = await findImages([folder, join(folder, 'not-there')])
    expect(images.map(({ references }) => references)).toEqual([
      ['docker.io/x/deep:1', 'docker.io/x/deep:2'],
    ])
    expect(pickImage(images, 'docker.io/x/deep:2')).toMatchObject({ cmd: ['run'] })
    expect(pickImage(images, 'docker.io/x/deep:latest')).toBeUndefined()
    expect(pickImage(images, `docker.io/x/deep@${images[0]?.id}`)).toBeDefined()
  })

  test('the id changes with a file', async () => {
    write('i/image.json', { name: 'x/i' })
    const [before] = await findImages([folder])
    write('i/server.js', 'more')
    const [after] = await findImages([folder])
    expect(after?.id).not.toBe(before?.id)
    expect(after?.sizeBytes).toBe((before?.sizeBytes ?? 0) + 4)
  })
})
