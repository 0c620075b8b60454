// The page as a picture, by a real browser.

import { execFileSync } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { chromium } from 'playwright-core'

/** For a machine without a screen, and nothing that asks the network by itself. */
export const BROWSER_ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
]

/** A picture beside text needs no lists. */
const LESS = '.moments, section .soft, section > p { display: none }'

/** What the README shows: the head of the page and the three timelines. */
export async function takePicture(file: string, to: string): Promise<void> {
  const executablePath = execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim()
  const browser = await chromium.launch({ executablePath, args: BROWSER_ARGS })
  try {
    const page = await browser.newPage({ viewport: { width: 800, height: 900 } })
    await page.goto(pathToFileURL(file).href)
    await page.addStyleTag({ content: LESS })
    await page.locator('#picture').screenshot({ path: to })
  } finally {
    await browser.close()
  }
}
