// Archives that mean no good: each is refused, in bounded time and memory.

import { Readable } from 'node:stream'
import { createGzip, gzipSync } from 'node:zlib'
import { pack, type Header } from 'tar-stream'
import { describe, expect, test } from 'vitest'
import { readTarball } from './tarball.ts'

type Entry = [header: Partial<Header> & { name: string }, content?: string]

function stream(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(bytes)
      controller.close()
    },
  })
}

async function archive(...entries: Entry[]): Promise<Uint8Array> {
  const tar = pack()
  for (const [header, content] of entries) tar.entry(header, content ?? '')
  tar.finalize()
  const chunks: Buffer[] = []
  for await (const chunk of tar as AsyncIterable<Buffer>) chunks.push(chunk)
  return gzipSync(Buffer.concat(chunks))
}

const read = async (path: string, ...entries: Entry[]): Promise<string[]> => [
  ...(await readTarball(stream(await archive(...entries)), path)).keys(),
]

describe('an archive', () => {
  test('gives what is below the path, and what bases elsewhere may need', async () => {
    const found = await read(
      'k8s',
      [{ name: 'o-r-1/k8s/a.yaml' }, 'a'],
      [{ name: 'o-r-1/k8s/logo.png' }, 'png'],
      [{ name: 'o-r-1/base/b.yaml' }, 'b'],
      [{ name: 'o-r-1/src/movie.mp4' }, 'x'],
      [{ name: 'o-r-1/link.yaml', type: 'symlink', linkname: 'k8s/a.yaml' }],
    )
    expect(found).toEqual(['k8s/a.yaml', 'k8s/logo.png', 'base/b.yaml'])
  })

  const refused: [string, Entry[], string][] = [
    [
      'leads out with dots',
      [[{ name: 'o-r-1/../../etc/cron.d/x.yaml' }, 'x']],
      'holds a path that leads out of it',
    ],
    [
      'leads out from the root',
      [[{ name: '/etc/x.yaml' }, 'x']],
      'holds a path that leads out of it',
    ],
    [
      'has a link where a manifest is',
      [[{ name: 'o-r-1/k8s/a.yaml', type: 'symlink', linkname: '/etc/passwd' }]],
      'k8s/a.yaml: is a link, and links are not followed',
    ],
    [
      'has a hard link there',
      [[{ name: 'o-r-1/k8s/a.yaml', type: 'link', linkname: '/etc/passwd' }]],
      'k8s/a.yaml: is a link',
    ],
    [
      'has a manifest that is too large',
      [[{ name: 'o-r-1/k8s/a.yaml' }, 'x'.repeat(1_048_577)]],
      'k8s/a.yaml: has 1048577 bytes',
    ],
  ]
  test.each(refused)('that %s is refused', async (_what, entries, message) => {
    await expect(read('k8s', ...entries)).rejects.toThrow(message)
  })

  test('that unpacks to more than it may is cut off there', async () => {
    // 1 GB of zeros packs into 1 MB; not even a hundredth of it is unpacked.
    let sent = 0
    const gzip = createGzip({ level: 1 })
    const chunk = Buffer.alloc(1_000_000)
    const zeros = Readable.from(
      (function* generate() {
        while (sent < 1000) {
          sent++
          yield chunk
        }
      })(),
    )
    const header = Buffer.from(gzipSync(Buffer.alloc(0)))
    expect(header.length).toBeGreaterThan(0)
    const body = Readable.toWeb(zeros.pipe(gzip)) as ReadableStream<Uint8Array>
    await expect(readTarball(body, 'k8s', { unpackedBytes: 5_000_000 })).rejects.toThrow(/.+/)
    zeros.destroy()
    expect(sent).toBeLessThan(200)
  })

  test('of too many entries, or too many bytes packed, is refused', async () => {
    const many = Array.from({ length: 20 }, (_, index): Entry => [{ name: `o-r-1/${index}` }, ''])
    const bytes = await archive(...many)
    await expect(readTarball(stream(bytes), '.', { entries: 10 })).rejects.toThrow(
      'more than 10 entries',
    )
    await expect(readTarball(stream(bytes), '.', { packedBytes: 10 })).rejects.toThrow(
      'more than 10 bytes packed',
    )
  })

  test('that breaks off, or is none, is asked for again', async () => {
    const bytes = await archive([{ name: 'o-r-1/a.yaml' }, 'x'.repeat(5000)])
    await expect(readTarball(stream(bytes.slice(0, 60)), '.')).rejects.toMatchObject({
      name: 'GithubBusy',
    })
    await expect(readTarball(stream(Buffer.from('<html>')), '.')).rejects.toMatchObject({
      name: 'GithubBusy',
    })
  })
})
