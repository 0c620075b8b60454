// The page: one file, no script, nothing from the network. All of its numbers come from the records.

import { machineKinds, resultOf, type ActResult } from './results.ts'
import type { Act, ActName, Actor, Moment, Story, VmLayout } from './story.ts'
import { STYLE } from './style.ts'
import { timeline } from './timeline.ts'
import { clockText, countText, escaped, secondsText } from './words.ts'

export const TITLES: Record<ActName, { title: string; lede: string; hero: string }> = {
  'one-vm': {
    title: 'Three containers in one VM',
    lede: 'A container crashes. Nothing starts it again: somebody must be called, answer, log in and do it.',
    hero: 'Somebody is called',
  },
  'three-vms': {
    title: 'Three VMs with backup APIs',
    lede: 'Each API has a backup on another VM. A VM dies; somebody sees it and switches to the backup by hand.',
    hero: 'Somebody switches by hand',
  },
  cluster: {
    title: 'The cluster',
    lede: 'The same app on Wherry. A container crashes, then a VM dies. Nobody does anything.',
    hero: 'Nobody does anything',
  },
}

const ACTORS: Record<Actor, string> = { fault: 'fault', person: 'person', cluster: 'cluster' }

type Played = Act & { result: ActResult; seconds: number }

export function page(story: Story): string {
  const acts = story.acts.map((act): Played => {
    const end = Math.max(...act.records.map(({ endedAt }) => endedAt))
    return { ...act, result: resultOf(act), seconds: (end - act.startedAt) / 1000 }
  })
  const seconds = Math.ceil(Math.max(...acts.map((act) => act.seconds)))
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The lecture as a story</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<main>
<div id="picture">
<header>
<h1>Who gets up at night?</h1>
<p>The same app three times, the same visitors: ${story.about.perSecond} requests a second. Something breaks.
How long is the app away, and who must act?</p>
${hurried(story)}
</header>
${hero(acts)}
<p class="legend"><span class="key answered"></span> answered <span class="key failed"></span> failed
<span class="dot fault"></span> something breaks <span class="dot person"></span> a person acts
<span class="dot cluster"></span> the cluster acts by itself</p>
${acts.map((act, index) => section(act, index, seconds, story.about.perSecond)).join('\n')}
</div>
${assumptions(story)}
${transcripts(acts)}
</main>
</body>
</html>
`
}

function hurried({ about }: Story): string {
  if (about.faster === 1) return ''
  return `<p class="notice">Fast version: people react ${about.faster} times faster than is assumed below.</p>`
}

function hero(acts: readonly Played[]): string {
  const longest = Math.max(1, ...acts.map(({ result }) => result.downtimeMs))
  const cards = acts.map(({ name, result }, index) => {
    const { downtimeMs, failed, requests } = result
    const share = Math.max(0.4, (downtimeMs / longest) * 100).toFixed(1)
    return `<li class="card" data-act="${name}">
<p class="number">Act ${index + 1}</p>
<p class="down">${downtimeMs === 0 ? 'no' : secondsText(downtimeMs)} <small>downtime</small></p>
<div class="share"><span style="width:${share}%"></span></div>
<p class="soft"><b class="lost">${countText(failed)}</b> of ${countText(requests)} requests failed. ${TITLES[name].hero}.</p>
</li>`
  })
  return `<ul class="hero">\n${cards.join('\n')}\n</ul>`
}

function section(act: Played, index: number, seconds: number, perSecond: number): string {
  const { title, lede } = TITLES[act.name]
  return `<section id="${act.name}">
<h2><span>Act ${index + 1}</span> ${title}</h2>
<p>${lede}</p>
${layout(act.layout)}
${timeline(act, act.result, seconds, perSecond)}
<ol class="moments">
${act.moments.map((moment) => momentItem(moment, act.startedAt)).join('\n')}
</ol>
${faults(act)}
</section>`
}

function layout(vms: readonly VmLayout[]): string {
  const boxes = vms.map(({ name, isLost, containers }) => {
    const chips = containers.map(({ name, isBackup, isKilled }) => {
      const kind = isKilled ? ' killed' : isBackup ? ' backup' : ''
      return `<span class="chip${kind}">${escaped(name)}${isBackup ? ' (backup)' : ''}</span>`
    })
    const shown = name.replace(/^(\w+)-.+-(\w+)$/, '$1-…-$2')
    return `<div class="vm${isLost ? ' lost' : ''}" title="${escaped(name)}"><b>${escaped(shown)}</b> ${chips.join(' ')}</div>`
  })
  return `<div class="vms">${boxes.join('')}</div>`
}

function momentItem({ at, who, what, command }: Moment, startedAt: number): string {
  const typed = command ? ` <code>${escaped(command)}</code>` : ''
  return `<li class="${who}"><time>${clockText(at - startedAt)}</time> <span class="who">${ACTORS[who]}</span> <span class="what">${escaped(what)}.${typed}</span></li>`
}

function faults({ result: { faults, slowestMs }, kept }: Played): string {
  const lines = faults.map(({ kind, failed, requests, underWay }) => {
    const event = kind === 'vm' ? 'the VM died' : 'the container crashed'
    const way =
      failed > 0 && underWay > 0
        ? `, ${countText(underWay)} of them on their way at that moment`
        : ''
    return `Since ${event} <b>${countText(failed)}</b> of ${countText(requests)} requests failed${way}.`
  })
  if (kept) {
    lines.push(
      `The database had ${countText(kept.before)} questions before its VM died, and in the end ${countText(kept.after)}.`,
    )
  }
  return `<p class="soft">${lines.join(' ')} The slowest answer took ${secondsText(slowestMs)}.</p>`
}

function assumptions({ about, reactions, acts }: Story): string {
  const steps = Object.values(reactions).flatMap((list, index) =>
    list.map(({ afterMs, what }) => {
      const played = about.faster === 1 ? '' : `<td>${secondsText(afterMs / about.faster)}</td>`
      return `<tr><td>Act ${index + 1}</td><td>${escaped(what)}</td><td>${secondsText(afterMs)}</td>${played}</tr>`
    }),
  )
  const head = about.faster === 1 ? '' : '<th>Played</th>'
  const machines = machineKinds(acts).map((kind) => `<li>${escaped(kind)}.</li>`)
  return `<section id="assumptions">
<h2>What is assumed, what is real</h2>
<p>People are played by a program. How long they take is assumed, on the short side; at night it is longer.
Everything else happened: the app, its crashes, every request and, in act 3, the cluster.</p>
<table><thead><tr><th></th><th>Step of a person, after the one before</th><th>Assumed</th>${head}</tr></thead>
<tbody>${steps.join('\n')}</tbody></table>
<ul>
${machines.join('\n')}
<li>In acts 1 and 2 containers run without a restart policy, and commands are shown as they would be typed
for Docker. A dead process refuses connections at once; a dead machine would be silent.</li>
<li>Each visitor opens a connection of their own, asks the frontend, which asks both APIs, and waits
${secondsText(about.patienceMs)} at most. Only HTTP 200 to its end counts as an answer.</li>
<li>Downtime is the time from the first request that failed to the next one that was answered, all such
stretches together.</li>
<li>The acts were played side by side on ${escaped(about.day)}, on one machine with ${escaped(about.machine)}.</li>
</ul>
</section>`
}

function transcripts(acts: readonly Played[]): string {
  const blocks = acts.flatMap(({ transcript }, index) =>
    transcript.map(
      ({ command, output }) =>
        `<h3>Act ${index + 1}: <code>${escaped(command)}</code></h3><pre>${escaped(output)}</pre>`,
    ),
  )
  return `<section><details><summary>What the machines said</summary>${blocks.join('\n')}</details></section>`
}
