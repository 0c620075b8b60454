// The lecture as a story: `npm run story` from beginning to end, its numbers, and its page in a browser.
// Leaves the page, the records and a picture in test-results/story/ for people to look at.

import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { REACTIONS } from '../../story/assumptions.ts'
import { BROWSER_ARGS } from '../../story/picture.ts'
import { hasFailed, resultOf, type ActResult } from '../../story/results.ts'
import { ACT_NAMES, type Act, type ActName, type Story } from '../../story/story.ts'
import { countText, secondsText } from '../../story/words.ts'

const ROOT = join(import.meta.dirname, '../..')
const OUT = join(ROOT, 'test-results', 'story')
const PAGE = join(OUT, 'index.html')
const PICTURE = join(OUT, 'story.png')
const MANIFEST = join(ROOT, 'examples/mushroom-app/mushroom-app.yml')
/** About two minutes, and more on a busy machine. */
const STORY_MS = 600_000
const CHROMIUM = findChromium()

const run = promisify(execFile)
let story: Story
const acts = new Map<ActName, Act & { result: ActResult }>()

function findChromium(): string | undefined {
  try {
    return execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}

function act(name: ActName): Act & { result: ActResult } {
  const found = acts.get(name)
  if (!found) throw new Error(`no act ${name}`)
  return found
}

const reactionMs = (name: keyof typeof REACTIONS): number =>
  REACTIONS[name].reduce((sum, { afterMs }) => sum + afterMs, 0)

beforeAll(async () => {
  rmSync(OUT, { recursive: true, force: true })
  mkdirSync(OUT, { recursive: true })
  const { FIRESTORE_EMULATOR_HOST: _, PUBSUB_EMULATOR_HOST: __, ...env } = process.env
  const { stdout } = await run(process.execPath, ['story/main.ts', '--out', OUT], {
    cwd: ROOT,
    env,
    timeout: STORY_MS,
  })
  console.log(stdout)
  story = JSON.parse(readFileSync(join(OUT, 'story.json'), 'utf8'))
  for (const one of story.acts) acts.set(one.name, { ...one, result: resultOf(one) })
}, STORY_MS + 10_000)

describe('the records', () => {
  test('are of three acts, and add up', () => {
    expect(story.acts.map(({ name }) => name)).toEqual(ACT_NAMES)
    for (const { records, moments, result } of acts.values()) {
      expect(result.answered + result.failed).toBe(records.length)
      expect(result.answered).toBeGreaterThan(0)
      const afterAll = records.filter(({ sentAt }) => sentAt > (moments.at(-1)?.at ?? 0))
      expect(afterAll.some((record) => !hasFailed(record))).toBe(true)
      expect(records.every(({ sentAt, endedAt }) => endedAt >= sentAt)).toBe(true)
      for (const { failed, requests, underWay } of result.faults) {
        expect(failed).toBeLessThanOrEqual(requests)
        expect(underWay).toBeLessThanOrEqual(failed)
      }
    }
  })

  test('downtime shrinks from act to act', () => {
    const [first, second, third] = ACT_NAMES.map((name) => act(name).result.downtimeMs)
    expect(first).toBeGreaterThan(second ?? 0)
    expect(second).toBeGreaterThan(third ?? 0)
  })

  test.each(['one-vm', 'three-vms'] as const)('%s: away until a person has acted', (name) => {
    const { result, moments } = act(name)
    const people = moments.filter(({ who }) => who === 'person')
    expect(people.map(({ what }) => what)).toEqual(REACTIONS[name].map(({ what }) => what))
    expect(moments.some(({ who }) => who === 'cluster')).toBe(false)
    // One request that was under way at the fault may still have been answered.
    expect(result.downtimeMs).toBeGreaterThan(reactionMs(name) * 0.9)
    expect(result.failed).toBeGreaterThan(result.answered)
  })

  test('the cluster: a crashed container costs nobody anything, and nobody acts', () => {
    const { result, moments, transcript } = act('cluster')
    expect(moments.some(({ who }) => who === 'person')).toBe(false)
    expect(moments.filter(({ who }) => who === 'cluster').length).toBeGreaterThanOrEqual(4)
    expect(result.faults.map(({ kind }) => kind)).toEqual(['container', 'vm'])
    expect(result.faults[0]).toMatchObject({ kind: 'container', failed: 0 })
    expect(transcript.map(({ command }) => command)).toContain('kubectl get nodes')
    for (const { output } of transcript) expect(output).not.toBe('')
  })

  test('the cluster: the database moves, and has all that it had', () => {
    const hasDatabase = readFileSync(MANIFEST, 'utf8').includes('kind: PersistentVolumeClaim')
    const { kept } = act('cluster')
    expect(kept !== undefined).toBe(hasDatabase)
    if (!kept) return
    expect(kept.before).toBeGreaterThan(0)
    expect(kept.after).toBeGreaterThanOrEqual(kept.before)
  })

  test('the cluster: a VM that dies takes at most what was inside it', () => {
    const { records, moments } = act('cluster')
    const fault = moments.find(({ breaks }) => breaks === 'vm')
    // Before the cluster knew: what is sent later no longer goes there.
    const noticed = moments.find(({ at, who }) => who === 'cluster' && at > (fault?.at ?? Infinity))
    const late = records
      .filter(hasFailed)
      .filter(({ sentAt, endedAt }) => sentAt > (noticed?.at ?? 0) || endedAt < (fault?.at ?? 0))
    expect(late).toEqual([])
  })
})

describe.skipIf(!CHROMIUM)('the page in a browser', () => {
  let browser: Browser
  let page: Page
  const complaints: string[] = []
  const asked: string[] = []

  beforeAll(async () => {
    browser = await chromium.launch({
      ...(CHROMIUM ? { executablePath: CHROMIUM } : {}),
      args: BROWSER_ARGS,
    })
    page = await browser.newPage({ viewport: { width: 1080, height: 900 } })
    page.setDefaultTimeout(20_000)
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => complaints.push(message.text()))
    page.on('request', (request) => asked.push(request.url()))
    await page.goto(pathToFileURL(PAGE).href)
  }, 60_000)
  afterAll(() => browser?.close(), 30_000)

  test('shows the numbers of the records', async () => {
    await page.getByRole('heading', { name: 'Who gets up at night?' }).waitFor()
    for (const name of ACT_NAMES) {
      const { result } = act(name)
      const card = page.locator(`.card[data-act="${name}"]`)
      const downtime = result.downtimeMs === 0 ? 'no' : secondsText(result.downtimeMs)
      expect(await card.locator('.down').textContent()).toBe(`${downtime} downtime`)
      expect(await card.locator('.lost').textContent()).toBe(countText(result.failed))
    }
    expect(await page.locator('.notice').count()).toBe(0)
  }, 60_000)

  test.each(ACT_NAMES)(
    'draws the timeline of %s',
    async (name) => {
      const { moments, records, startedAt, result } = act(name)
      const section = page.locator(`#${name}`)
      const seconds = new Set(records.map(({ sentAt }) => Math.floor((sentAt - startedAt) / 1000)))
      expect(await section.locator('svg g:not(.mark)').count()).toBe(seconds.size)
      expect(await section.locator('svg .mark').count()).toBe(moments.length)
      const said = await section.locator('.moments .what').allTextContents()
      for (const [index, { what }] of moments.entries()) expect(said[index]).toContain(what)
      const titles = await section.locator('svg title').allTextContents()
      const failed = titles.map((title) => Number(/(\d+) failed$/.exec(title)?.[1]))
      expect(failed.reduce((sum, count) => sum + count, 0)).toBe(result.failed)
    },
    60_000,
  )

  test('says what is assumed, fits a phone, and asks nobody', async () => {
    await page.screenshot({ path: PICTURE, fullPage: true })
    console.log(`the page as a picture: ${PICTURE}`)
    const rows = await page.locator('#assumptions tbody tr').count()
    expect(rows).toBe(REACTIONS['one-vm'].length + REACTIONS['three-vms'].length)
    await page.setViewportSize({ width: 390, height: 844 })
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(390)
    expect(asked.filter((url) => !url.startsWith('data:'))).toEqual([pathToFileURL(PAGE).href])
    expect(complaints).toEqual([])
  }, 60_000)
})

test('chromium is here, or this machine is no continuous integration', () => {
  if (process.env['CI']) expect(CHROMIUM).toBeTruthy()
})
