// docs/story.md, written by `npm run story -- --docs` from its own records. Edit here, never there.

import { TITLES } from './page.ts'
import { machineKinds, resultOf } from './results.ts'
import { ACT_NAMES, type Story } from './story.ts'
import { countText, secondsText } from './words.ts'

export function document(story: Story): string {
  const { about } = story
  const hurried =
    about.faster === 1
      ? ''
      : `\nThis was a fast run: people reacted ${about.faster} times faster than assumed below.\n`
  return `# The lecture as a story

\`npm run story\` plays the lecture: the mushroom app on one VM, on three VMs, and on the cluster. Something
breaks each time, visitors go on asking, every request is recorded, and a page is drawn from the records.
This file and its picture are written by \`npm run story -- --docs\`; nothing in them is typed by hand.

![Three timelines: answered and failed requests in each act](images/story.png)
${hurried}
${table(story)}

${kept(story)}Played on ${about.day}, all acts side by side, on one machine with ${about.machine}; ${about.perSecond} requests a second in each
act, no answer within ${secondsText(about.patienceMs)} counts as failed.

## What is assumed

People are played by the program. How long they take is assumed, in \`story/assumptions.ts\` and nowhere else:

${assumed(story)}

\`npm run story -- --fast\` divides these times, and the page says so.

## What is real

- The app: the images of \`examples/mushroom-app\`, the same processes in all acts. Acts 1 and 2 run them as
  \`docker run\` on a VM would, without anything that looks after them and without a restart policy.
${machineKinds(story.acts)
  .map((kind) => `- ${kind}.`)
  .join('\n')}
- Act 3 is what \`npm start\` runs, used with real kubectl; visitors come through its Ingress. Its faults are \`npm run fault -- container-kill\` and
  \`npm run fault -- vm-kill\`.
- Downtime is the time from the first request that failed to the next one that was answered, all such
  stretches together.

The records are \`story.json\` beside the page; \`npm run story -- --from FILE\` draws a page from them again.
\`test/e2e/story.test.ts\` plays it in continuous integration and opens the page in a browser.
`
}

function table({ acts }: Story): string {
  const rows = ACT_NAMES.flatMap((name, index) => {
    const act = acts.find((one) => one.name === name)
    if (!act) return []
    const { downtimeMs, failed, requests, slowestMs } = resultOf(act)
    const cells = [
      `${index + 1}. ${TITLES[name].title}`,
      TITLES[name].hero,
      downtimeMs === 0 ? 'none' : secondsText(downtimeMs),
      `${countText(failed)} of ${countText(requests)}`,
      secondsText(slowestMs),
    ]
    return [`| ${cells.join(' | ')} |`]
  })
  return [
    '| act | who acts | downtime | requests failed | slowest answer |',
    '| --- | --- | ---: | ---: | ---: |',
    ...rows,
  ].join('\n')
}

function assumed({ reactions }: Story): string {
  const rows = Object.values(reactions).flatMap((list, index) =>
    list.map(({ afterMs, what }) => `| ${index + 1} | ${what} | ${secondsText(afterMs)} |`),
  )
  return ['| act | step, after the one before | takes |', '| --- | --- | ---: |', ...rows].join(
    '\n',
  )
}

function kept({ acts }: Story): string {
  return acts
    .flatMap(({ kept }) =>
      kept
        ? `The VM that died in act 3 had the database on it. It had ${countText(kept.before)} questions before, and in the end,\non another VM with the same disk, ${countText(kept.after)}.\n\n`
        : [],
    )
    .join('')
}
