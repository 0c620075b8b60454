// The loop devices under persistent disks. Unlike namespaces and processes they do not die with the
// emulator that made them: a note in /run, which is as short-lived as they are, says whose they are, so
// that the next start can take away what a killed emulator has left (sweep.ts).

import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { run } from './run.ts'

const NOTES = '/run/wherry'
const LOOK_MS = 50

/** Makes a device of an image file; answers its path. */
export async function makeLoop(image: string, isReadOnly: boolean): Promise<string> {
  const mode = isReadOnly ? ['--read-only'] : []
  return (await run('losetup', ['--find', '--show', ...mode, image])).trim()
}

/** The devices take in that their files have grown. */
export async function growLoops(image: string): Promise<void> {
  for (const { device } of await loopsOf(image)) await run('losetup', ['--set-capacity', device])
}

/**
 * Frees the devices of a file, or of all files in a folder. What somebody still has mounted or open is freed
 * when that ends: answers false when it has not within `patienceMs`.
 */
export async function freeLoops(path: string, patienceMs: number): Promise<boolean> {
  const deadline = Date.now() + patienceMs
  for (;;) {
    const loops = await loopsOf(path)
    if (loops.length === 0) return true
    for (const loop of loops) await free(loop)
    if ((await loopsOf(path)).length === 0) return true
    if (Date.now() >= deadline) return false
    await delay(LOOK_MS)
  }
}

/** It may have gone meanwhile, and its number may be another's by now. */
async function free({ device, file }: Loop): Promise<void> {
  const isSame = (await loopsOf(file)).some((each) => each.device === device)
  if (!isSame) return
  try {
    await run('losetup', ['--detach', device])
  } catch (error) {
    if ((await loopsOf(file)).some((each) => each.device === device)) throw error
  }
}

/** Notes that the devices of files in `folder` are this slot's. */
export async function noteLoops(slot: string, folder: string): Promise<void> {
  await mkdir(NOTES, { recursive: true })
  await writeFile(noteOf(slot), folder)
}

/** Frees what the slot's note names, and takes the note away. Nothing happens when there is none. */
export async function sweepLoops(slot: string, patienceMs = 0): Promise<void> {
  const folder = await readFile(noteOf(slot), 'utf8').catch(() => undefined)
  if (folder === undefined) return
  // The same folder was started again in another slot meanwhile: the devices are that one's.
  if (!(await othersNotes(slot)).includes(folder)) await freeLoops(folder, patienceMs)
  await rm(noteOf(slot), { force: true })
}

async function othersNotes(slot: string): Promise<string[]> {
  const others = (await readdir(NOTES)).map((name) => join(NOTES, name))
  return Promise.all(
    others
      .filter((file) => file !== noteOf(slot))
      .map((file) => readFile(file, 'utf8').catch(() => '')),
  )
}

function noteOf(slot: string): string {
  return join(NOTES, `${slot}.disks`)
}

interface Loop {
  /** `/dev/loop3`. */
  device: string
  file: string
}

/** Of that file, or of files below that folder, whether or not they are still there. */
async function loopsOf(path: string): Promise<Loop[]> {
  const text = await run('losetup', ['--list', '--json', '--output', 'NAME,BACK-FILE'])
  // It says nothing at all when there is no device.
  const { loopdevices = [] } = text.trim() ? (JSON.parse(text) as Listed) : {}
  return loopdevices.flatMap(({ name, 'back-file': backing }) => {
    const file = backing?.replace(/ \(deleted\)$/, '') ?? ''
    return file === path || file.startsWith(`${path}/`) ? [{ device: name, file }] : []
  })
}

interface Listed {
  loopdevices?: { name: string; 'back-file': string | null }[]
}
