// The image of the process that holds a pod's namespaces. It does nothing but wait, and lets the kernel
// reap what ends below it where it is the first process of the pod. 200 bytes of machine code, made here
// and loaded into the engine: a node pulls nothing before its first pod (decision 0021).

import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { pack } from 'tar-stream'

/** As the engine knows it. */
export const PAUSE_IMAGE = 'wherry.local/pause:1'

const X64 = Buffer.from(
  [
    'b80d000000', //         mov  eax, 13        rt_sigaction(
    'bf11000000', //         mov  edi, 17          SIGCHLD,
    '488d3517000000', //     lea  rsi, [rip+23]    &ignore,
    '31d2', //               xor  edx, edx         NULL,
    '41ba08000000', //       mov  r10d, 8          8)
    '0f05', //               syscall
    'b822000000', //   wait: mov  eax, 34        pause()
    '0f05', //               syscall
    'ebf7', //               jmp  wait
    '90909090', //           nop × 4
    // ignore: handler SIG_IGN, no flags, no restorer, empty mask
    '0100000000000000'.padEnd(64, '0'),
  ].join(''),
  'hex',
)

const ARM64 = Buffer.concat([
  words(
    0xd28010c8, //       mov  x8, #134       rt_sigaction(
    0xd2800220, //       mov  x0, #17          SIGCHLD,
    0x10000181, //       adr  x1, ignore       &ignore,
    0xd2800002, //       mov  x2, #0           NULL,
    0xd2800103, //       mov  x3, #8           8)
    0xd4000001, //       svc  #0
    0xd2800928, // wait: mov  x8, #73        ppoll(
    0xd2800000, //       mov  x0, #0           NULL,
    0xd2800001, //       mov  x1, #0           0,
    0xd2800002, //       mov  x2, #0           NULL,
    0xd2800003, //       mov  x3, #0           NULL)
    0xd4000001, //       svc  #0
    0x17fffffa, //       b    wait
    0xd503201f, //       nop
  ),
  // ignore: as above
  Buffer.from('0100000000000000'.padEnd(64, '0'), 'hex'),
])

interface Architecture {
  name: string
  /** ELF's e_machine. */
  machine: number
  code: Buffer
}

const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  x64: { name: 'amd64', machine: 62, code: X64 },
  arm64: { name: 'arm64', machine: 183, code: ARM64 },
}

/** An archive as `docker save` writes it. `arch`: as process.arch. Throws for one that is not known. */
export async function pauseArchive(arch: string): Promise<Buffer> {
  const found = ARCHITECTURES[arch]
  if (!found) throw new Error(`no pause image for ${arch}`)
  const layer = await archive([{ name: 'pause', bytes: elf(found), mode: 0o755 }])
  const config = Buffer.from(
    JSON.stringify({
      architecture: found.name,
      os: 'linux',
      config: { Entrypoint: ['/pause'] },
      created: '1970-01-01T00:00:00Z',
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
    }),
  )
  const configName = `${sha256(config)}.json`
  const manifest = [{ Config: configName, RepoTags: [PAUSE_IMAGE], Layers: ['layer.tar'] }]
  return archive([
    { name: 'layer.tar', bytes: layer, mode: 0o644 },
    { name: configName, bytes: config, mode: 0o644 },
    { name: 'manifest.json', bytes: Buffer.from(JSON.stringify(manifest)), mode: 0o644 },
  ])
}

const BASE = 0x400000n
const HEADERS = 120

/** A static program: one segment that holds its headers and its code. */
function elf({ machine, code }: Architecture): Buffer {
  const size = BigInt(HEADERS + code.length)
  const header = Buffer.alloc(HEADERS)
  header.write('\x7fELF', 'latin1')
  header.set([2, 1, 1], 4) // 64 bits, little endian, version 1
  header.writeUInt16LE(2, 16) // an executable
  header.writeUInt16LE(machine, 18)
  header.writeUInt32LE(1, 20)
  header.writeBigUInt64LE(BASE + BigInt(HEADERS), 24) // where it begins
  header.writeBigUInt64LE(64n, 32) // the program header follows
  header.writeUInt16LE(64, 52)
  header.writeUInt16LE(56, 54)
  header.writeUInt16LE(1, 56)
  header.writeUInt32LE(1, 64) // PT_LOAD
  header.writeUInt32LE(5, 68) // readable, executable
  header.writeBigUInt64LE(BASE, 80)
  header.writeBigUInt64LE(BASE, 88)
  header.writeBigUInt64LE(size, 96)
  header.writeBigUInt64LE(size, 104)
  header.writeBigUInt64LE(0x1000n, 112)
  return Buffer.concat([header, code])
}

function archive(files: readonly { name: string; bytes: Buffer; mode: number }[]): Promise<Buffer> {
  const tar = pack()
  for (const { name, bytes, mode } of files) tar.entry({ name, mode, mtime: new Date(0) }, bytes)
  tar.finalize()
  return buffer(tar)
}

function words(...list: readonly number[]): Buffer {
  const bytes = Buffer.alloc(list.length * 4)
  for (const [index, word] of list.entries()) bytes.writeUInt32LE(word, index * 4)
  return bytes
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
