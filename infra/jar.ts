// Writes a jar that holds nothing but a manifest: it points at another jar and says which class to
// run. firebase-tools starts the Firestore emulator by `java -jar`, and gcloud's copy of it has no
// main class.

import { crc32 } from 'node:zlib'
import { pathToFileURL } from 'node:url'

const NAME = Buffer.from('META-INF/MANIFEST.MF')
// 1980-01-01, the first day that a zip file can name: the same input gives the same bytes.
const DOS_DATE = 0x0021
const LINE_BYTES_MAX = 70

/** The bytes of a jar that runs `mainClass` of the jar at `path`. */
export function wrapperJar(path: string, mainClass: string): Buffer {
  const manifest = Buffer.from(
    ['Manifest-Version: 1.0', `Class-Path: ${pathToFileURL(path).href}`, `Main-Class: ${mainClass}`]
      .map(fold)
      .join(''),
  )
  const fields = Buffer.alloc(26)
  fields.writeUInt16LE(20, 0) // version needed
  fields.writeUInt16LE(DOS_DATE, 8)
  fields.writeUInt32LE(crc32(manifest), 10)
  fields.writeUInt32LE(manifest.length, 14) // stored, not compressed
  fields.writeUInt32LE(manifest.length, 18)
  fields.writeUInt16LE(NAME.length, 22)

  const local = Buffer.concat([Buffer.from('PK\u0003\u0004', 'latin1'), fields, NAME, manifest])
  const central = Buffer.concat([
    Buffer.from('PK\u0001\u0002\u0014\u0000', 'latin1'),
    fields,
    Buffer.alloc(14), // no comment, first disk, no attributes, at offset 0
    NAME,
  ])
  const end = Buffer.alloc(22)
  end.write('PK\u0005\u0006', 'latin1')
  end.writeUInt16LE(1, 8)
  end.writeUInt16LE(1, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(local.length, 16)
  return Buffer.concat([local, central, end])
}

/** A manifest line is at most 72 bytes with its break; the rest follows after a space. */
function fold(line: string): string {
  const parts = [line.slice(0, LINE_BYTES_MAX)]
  for (let at = LINE_BYTES_MAX; at < line.length; at += LINE_BYTES_MAX - 1) {
    parts.push(` ${line.slice(at, at + LINE_BYTES_MAX - 1)}`)
  }
  return `${parts.join('\r\n')}\r\n`
}
