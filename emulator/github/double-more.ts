// More of GitHub's API, over the same repositories: check runs, git's own objects, and pull requests
// that are opened through the API.

import type { Hono } from 'hono'
import { AT, missing, tagged, type Of } from './double-answers.ts'
import type { CheckRunDouble } from './double.ts'

/** https://docs.github.com/en/rest/checks/runs */
export function addChecks(app: Hono, of: Of): void {
  app.get(`${AT}/commits/:sha/check-runs`, (c) => {
    const { check_name: name } = c.req.query()
    const found = (of(c)?.checks ?? []).filter(
      (run) => run.head_sha === c.req.param('sha') && run.name === name,
    )
    return tagged(c, { total_count: found.length, check_runs: found })
  })
  app.post(`${AT}/check-runs`, async (c) => {
    const repository = of(c)
    if (!repository) return missing(c)
    const sent = await c.req.json<Omit<CheckRunDouble, 'id'>>()
    const run: CheckRunDouble = { ...sent, id: repository.checks.length + 1 }
    repository.checks.push(run)
    return c.json(run, 201)
  })
  app.patch(`${AT}/check-runs/:id`, async (c) => {
    const run = of(c)?.checks.find(({ id }) => id === Number(c.req.param('id')))
    if (!run) return missing(c)
    delete run.conclusion
    Object.assign(run, await c.req.json<Partial<CheckRunDouble>>())
    return c.json(run)
  })
}

/** https://docs.github.com/en/rest/git, https://docs.github.com/en/rest/pulls */
export function addGitData(app: Hono, of: Of): void {
  app.get(`${AT}/git/ref/:ref{.+}`, async (c) => {
    const ref = `refs/${c.req.param('ref')}`
    const commit = await of(c)?.git.commit(ref)
    return commit ? tagged(c, { ref, object: { type: 'commit', sha: commit.sha } }) : missing(c)
  })
  app.get(`${AT}/git/commits/:sha`, async (c) => {
    const sha = c.req.param('sha')
    const tree = await of(c)?.git.tree(sha)
    return tree ? tagged(c, { sha, tree: { sha: tree } }) : missing(c)
  })
  app.post(`${AT}/git/commits`, async (c) => {
    const repository = of(c)
    if (!repository) return missing(c)
    const sent = await c.req.json<{ message: string; tree: string; parents: string[] }>()
    const sha = await repository.git.commitTree(sent.tree, sent.parents, sent.message)
    return c.json({ sha, tree: { sha: sent.tree } }, 201)
  })
  app.post(`${AT}/git/refs`, async (c) => {
    const repository = of(c)
    if (!repository) return missing(c)
    const { ref, sha } = await c.req.json<{ ref: string; sha: string }>()
    if (await repository.git.commit(ref))
      return c.json({ message: 'Reference already exists' }, 422)
    await repository.git.createReference(ref, sha)
    return c.json({ ref, object: { sha } }, 201)
  })
  app.get(`${AT}/pulls`, (c) => {
    const head = c.req.query('head')?.split(':')[1]
    const found = (of(c)?.pulls ?? []).filter(({ branch }) => branch === head)
    return tagged(
      c,
      found.map(({ number, title }) => ({ number, title, html_url: urlOf(c.req.path, number) })),
    )
  })
  app.post(`${AT}/pulls`, async (c) => {
    const repository = of(c)
    if (!repository) return missing(c)
    const { title, head } = await c.req.json<{ title: string; head: string; base: string }>()
    if (repository.pulls.some(({ branch, state }) => branch === head && state === 'open')) {
      return c.json({ message: 'A pull request already exists' }, 422)
    }
    const number = Math.max(0, ...repository.pulls.map((pull) => pull.number)) + 1
    repository.pulls.push({ number, state: 'open', title, branch: head, labels: [] })
    return c.json({ number, html_url: urlOf(c.req.path, number) }, 201)
  })
}

/** Where people would see it. */
function urlOf(path: string, number: number): string {
  const [owner, name] = /\/repos\/([^/]+)\/([^/]+)/.exec(path)?.slice(1) ?? []
  return `https://github.com/${owner}/${name}/pull/${number}`
}
