// Reads the struct types that a Go program keeps for its reflection: field names, types and tags.
// kubectl carries every Kubernetes type that way, with the json, protobuf and patch tags of its Go
// source, so one binary tells exactly how an object looks on the wire. Used by generate.mjs only.
//
// Layout: Go's internal/abi (Type, StructType, Name) as of Go 1.24–1.25, linux/amd64, not PIE.

const KIND = { array: 17, interface: 20, map: 21, pointer: 22, slice: 23, struct: 25 }
const SCALARS = new Map([
  [1, 'bool'],
  [2, 'int'],
  [3, 'int8'],
  [4, 'int16'],
  [5, 'int32'],
  [6, 'int64'],
  [7, 'uint'],
  [8, 'uint8'],
  [9, 'uint16'],
  [10, 'uint32'],
  [11, 'uint64'],
  [13, 'float32'],
  [14, 'float64'],
  [24, 'string'],
])
const FLAG_UNCOMMON = 1
const FLAG_EXTRA_STAR = 2
const FLAG_NAMED = 4

/**
 * All named struct types of a Go binary, by `import/path.Name`. A type is
 * { kind: 'scalar' | 'slice' | 'map' | 'pointer' | 'struct' | 'other', name, path, element, fields },
 * a field { name, isEmbedded, tag, type }.
 * @param {Buffer} file
 */
export function readGoTypes(file) {
  const sections = readSections(file)
  const rodata = sections.get('.rodata')
  const typelink = sections.get('.typelink')
  if (!rodata || !typelink) throw new Error('not a Go program: no .typelink section')
  const at = (address) => {
    for (const section of sections.values()) {
      if (address >= section.address && address < section.address + section.size) {
        return address - section.address + section.offset
      }
    }
    throw new Error(`address ${address.toString(16)} lies in no section`)
  }
  const types = new Map()
  const structs = new Map()

  /** A length-prefixed name (with its tag) as Go's abi.Name lays it out. */
  function nameAt(address) {
    let position = at(address)
    const flags = file[position++]
    const text = () => {
      let length = 0
      for (let shift = 0; ; shift += 7) {
        const byte = file[position++]
        length |= (byte & 0x7f) << shift
        if (!(byte & 0x80)) break
      }
      position += length
      return file.toString('utf8', position - length, position)
    }
    const name = text()
    return { name, tag: flags & 2 ? text() : '', isEmbedded: (flags & 8) !== 0 }
  }

  function typeAt(address) {
    const known = types.get(address)
    if (known) return known
    const position = at(address)
    const pointer = (offset) => Number(file.readBigUInt64LE(position + offset))
    const flags = file[position + 20]
    const kind = file[position + 23] & 31
    let name = nameAt(rodata.address + file.readInt32LE(position + 40)).name
    if (flags & FLAG_EXTRA_STAR) name = name.slice(1)
    const type = { name, isNamed: (flags & FLAG_NAMED) !== 0 }
    types.set(address, type)
    if (kind === KIND.struct) readStruct(type, position, pointer, flags)
    else if (kind === KIND.pointer || kind === KIND.slice || kind === KIND.array) {
      type.kind = kind === KIND.pointer ? 'pointer' : 'slice'
      type.element = typeAt(pointer(48))
    } else if (kind === KIND.map) {
      type.kind = 'map'
      type.element = typeAt(pointer(56))
    } else {
      type.kind = SCALARS.has(kind) ? 'scalar' : 'other'
      type.scalar = SCALARS.get(kind)
    }
    return type
  }

  function readStruct(type, position, pointer, flags) {
    type.kind = 'struct'
    if (flags & FLAG_UNCOMMON) {
      type.path = nameAt(rodata.address + file.readInt32LE(position + 80)).name
      structs.set(`${type.path}.${type.name.slice(type.name.lastIndexOf('.') + 1)}`, type)
    }
    type.fields = []
    const count = pointer(64)
    const start = count > 0 ? at(pointer(56)) : 0
    for (let index = 0; index < count; index++) {
      const field = nameAt(Number(file.readBigUInt64LE(start + index * 24)))
      field.type = typeAt(Number(file.readBigUInt64LE(start + index * 24 + 8)))
      type.fields.push(field)
    }
  }

  for (let offset = 0; offset < typelink.size; offset += 4) {
    typeAt(rodata.address + file.readInt32LE(typelink.offset + offset))
  }
  return structs
}

/** The sections of an ELF file (64 bit, little endian) that are in memory, by name. */
function readSections(file) {
  if (file.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') throw new Error('not an ELF file')
  const start = Number(file.readBigUInt64LE(0x28))
  const size = file.readUInt16LE(0x3a)
  const headers = Array.from({ length: file.readUInt16LE(0x3c) }, (_, index) => {
    const header = start + index * size
    return {
      name: file.readUInt32LE(header),
      address: Number(file.readBigUInt64LE(header + 0x10)),
      offset: Number(file.readBigUInt64LE(header + 0x18)),
      size: Number(file.readBigUInt64LE(header + 0x20)),
    }
  })
  const names = headers[file.readUInt16LE(0x3e)].offset
  const sections = new Map()
  for (const header of headers) {
    const from = names + header.name
    if (header.address > 0) {
      sections.set(file.toString('latin1', from, file.indexOf(0, from)), header)
    }
  }
  return sections
}
