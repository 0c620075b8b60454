// The example's page as a person sees it: in a real browser, against the whole local system. Leaves
// pictures in test-results/ for people to look at.

import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BROWSER_ARGS } from '../../story/picture.ts'
import { eventually, startLocalWherry, type LocalWherry } from '../local-wherry.ts'

const PICTURES = join(import.meta.dirname, '../../test-results')
const CHROMIUM = findChromium()
const DEADLINE_MS = 20_000

function findChromium(): string | undefined {
  try {
    return execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim()
  } catch {
    return undefined
  }
}

describe.skipIf(!CHROMIUM)('tic-tac-toe in a browser', () => {
  let wherry: LocalWherry
  let browser: Browser
  let page: Page
  /** What went wrong in the page. */
  const complaints: string[] = []

  beforeAll(async () => {
    mkdirSync(PICTURES, { recursive: true })
    wherry = await startLocalWherry()
    browser = await chromium.launch({
      ...(CHROMIUM ? { executablePath: CHROMIUM } : {}),
      args: BROWSER_ARGS,
    })
    page = await browser.newPage({ viewport: { width: 1180, height: 820 } })
    page.setDefaultTimeout(DEADLINE_MS)
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error') complaints.push(message.text())
    })
    await page.goto(wherry.ready.app ?? '')
  }, 120_000)
  afterAll(async () => {
    await browser?.close()
    await wherry?.dispose()
  }, 60_000)

  const cell = (row: number, column: number) =>
    page
      .getByRole('group', { name: 'Board' })
      .getByRole('button')
      .nth(row * 3 + column)

  test('a move is answered by the computer', async () => {
    await page.getByText('Your turn').waitFor()
    await cell(1, 1).click()
    expect(await cell(1, 1).getAttribute('aria-label')).toBe('X, row 2, column 2')
    const answers = page.getByRole('button', { name: /^O, row/ })
    await answers.first().waitFor()
    expect(await answers.count()).toBe(1)
    await page.getByText('Your turn').waitFor()
  }, 60_000)

  test('a game of two is won', async () => {
    await page.getByRole('combobox', { name: 'Who plays' }).selectOption('two')
    for (const [row, column] of [
      [0, 0],
      [1, 1],
      [0, 1],
      [2, 2],
      [0, 2],
    ] as const)
      await cell(row, column).click()
    await page.getByText('X wins!').waitFor()
    expect(await page.locator('#score-x').textContent()).toBe('1')
  }, 60_000)

  test('it shows which pods answer, all of them', async () => {
    const pods = (await wherry.mustKubectl('get pods -l run=web -o name'))
      .trim()
      .split('\n')
      .map((name) => name.replace('pod/', ''))
      .sort()
    expect(pods).toHaveLength(2)
    await eventually('both pods in the page', async () => {
      const shown = await page.locator('#pods li code').allTextContents()
      return shown.sort().join() === pods.join()
    })
    expect(pods).toContain(await page.locator('#pod').textContent())
    expect(await page.locator('#command').textContent()).toMatch(/^kubectl delete pod web-/)
    await page.evaluate('Promise.all(document.getAnimations().map((each) => each.finished))')
    await page.screenshot({ path: join(PICTURES, 'tic-tac-toe.png') })
  }, 60_000)

  test('a pod that is deleted as the page says is replaced, and the game goes on', async () => {
    const command = (await page.locator('#command').textContent()) ?? ''
    const victim = command.split(' ').at(-1) ?? ''
    const marks = await page.getByRole('button', { name: /^[XO], row/ }).count()
    await wherry.mustKubectl(`delete pod ${victim}`)
    await eventually('a third pod answers', async () => {
      const shown = await page.locator('#pods li code').allTextContents()
      return shown.length === 3 && (await page.locator('#pod').textContent()) !== victim
    })
    expect(await page.getByRole('button', { name: /^[XO], row/ }).count()).toBe(marks)
    await page.setViewportSize({ width: 390, height: 844 })
    await page.screenshot({ path: join(PICTURES, 'tic-tac-toe-phone.png'), fullPage: true })
    const width = await page.evaluate('document.documentElement.scrollWidth')
    expect(width).toBeLessThanOrEqual(390)
    expect(complaints).toEqual([])
  }, 60_000)
})

test('chromium is here, or this machine is no continuous integration', () => {
  if (process.env['CI']) expect(CHROMIUM).toBeTruthy()
})
