// Asks addresses until each has answered once: started by prober.ts, often in the network of a VM.

import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

const AGAIN_MS = 5
/** What does not answer is asked again. */
const ANSWER_MS = 2000

process.on('message', ({ id, urls }: { id: number; urls: string[] }) => void tell(id, urls))
process.on('disconnect', () => process.exit(0))

async function tell(id: number, urls: readonly string[]): Promise<void> {
  await Promise.all(urls.map(untilAnswered))
  // Now: the way of the message is not part of it.
  process.send?.({ id, at: Date.now() })
}

async function untilAnswered(url: string): Promise<void> {
  while (!(await answers(url))) await sleep(AGAIN_MS)
}

function answers(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request(url, { agent: false, timeout: ANSWER_MS }, (response) => {
      response.resume()
      response.on('end', () => resolve(response.statusCode === 200))
      response.on('error', () => resolve(false))
    })
    asked.on('timeout', () => asked.destroy())
    asked.on('error', () => resolve(false))
    asked.end()
  })
}
