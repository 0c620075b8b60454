// Tables: what an event means for a Repository, and which tag is the highest.

import { describe, expect, test } from 'vitest'
import type { Repository } from '../api/repository.ts'
import { meaningOf } from './events.ts'
import { highestTag, matchesTag } from './tags.ts'

const repository = (spec: Partial<Repository['spec']>): Repository => ({
  apiVersion: 'deploy.wherry.dev/v1',
  kind: 'Repository',
  metadata: { name: 'web', uid: 'u', creationTimestamp: '' },
  spec: { repository: 'o/n', branch: 'main', ...spec },
})
const previews = { previews: { enabled: true } }

describe('an event means', () => {
  const cases: [string, string, object, Partial<Repository['spec']>, string][] = [
    ['a push to the branch', 'push', { ref: 'refs/heads/main', after: 'abcdef0123' }, {}, 'look'],
    ['a push to another branch', 'push', { ref: 'refs/heads/dev' }, {}, 'ignore'],
    ['a push of notes', 'push', { ref: 'refs/notes/x' }, {}, 'ignore'],
    ['the branch is deleted', 'push', { ref: 'refs/heads/main', deleted: true }, {}, 'note'],
    ['a push of a tag nobody waits for', 'push', { ref: 'refs/tags/v1' }, {}, 'ignore'],
    ['a push of a tag that matches', 'push', { ref: 'refs/tags/v1' }, { tags: 'v*' }, 'look'],
    [
      'a push to the branch where tags count',
      'push',
      { ref: 'refs/heads/main' },
      { tags: 'v*' },
      'ignore',
    ],
    ['a new tag', 'create', { ref: 'v2', ref_type: 'tag' }, { tags: 'v*' }, 'look'],
    ['a new branch', 'create', { ref: 'main', ref_type: 'branch' }, {}, 'ignore'],
    ['a deleted tag', 'delete', { ref: 'v2', ref_type: 'tag' }, { tags: 'v*' }, 'note'],
    [
      'a release',
      'release',
      { action: 'published', release: { tag_name: 'v3' } },
      { tags: 'v*' },
      'look',
    ],
    [
      'a draft of a release',
      'release',
      { action: 'created', release: { tag_name: 'v3' } },
      { tags: 'v*' },
      'ignore',
    ],
    ['a pull request', 'pull_request', { action: 'opened', number: 3 }, previews, 'preview'],
    [
      'a pull request where there are no previews',
      'pull_request',
      { action: 'opened', number: 3 },
      {},
      'ignore',
    ],
    [
      'an assigned pull request',
      'pull_request',
      { action: 'assigned', number: 3 },
      previews,
      'ignore',
    ],
    [
      'a pull request without number',
      'pull_request',
      { action: 'opened', number: '3' },
      previews,
      'ignore',
    ],
    [
      'a workflow that succeeded',
      'workflow_run',
      { action: 'completed', workflow_run: { conclusion: 'success', head_branch: 'main' } },
      {},
      'look',
    ],
    [
      'a workflow that failed',
      'workflow_run',
      { action: 'completed', workflow_run: { conclusion: 'failure', head_branch: 'main' } },
      {},
      'ignore',
    ],
    [
      'a check that is asked for again',
      'check_run',
      { action: 'rerequested', check_run: { head_sha: 'a', check_suite: { head_branch: 'main' } } },
      {},
      'look',
    ],
    ['a deployment, which may be our own', 'deployment', { action: 'created' }, {}, 'ignore'],
    ['nonsense', 'push', { ref: 17 }, {}, 'ignore'],
  ]
  test.each(cases)('%s', (_what, event, payload, spec, meaning) => {
    expect(meaningOf(event, { ...payload }, repository(spec)).do).toBe(meaning)
  })
})

describe('tags', () => {
  test.each([
    ['v*', 'v1.2', true],
    ['v*', 'w1', false],
    ['release-*-eu', 'release-7-eu', true],
    ['release-*-eu', 'release-7-us', false],
    ['a*a', 'a', false],
    ['*b*c*', 'xbxcx', true],
    ['*c*b*', 'xbxcx', false],
    ['v1', 'v1', true],
    ['v1', 'v10', false],
  ])('%s fits %s: %s', (pattern, tag, fits) => {
    expect(matchesTag(pattern, tag)).toBe(fits)
  })

  test.each([
    [['v1.9.0', 'v1.10.0', 'v1.2.0'], 'v1.10.0'],
    [['v2.0.0-rc.1', 'v2.0.0', 'v2.0.0-rc.2'], 'v2.0.0'],
    [['v1.0', 'v1.0.1'], 'v1.0.1'],
    [['v2.0.0-rc.1', 'v1.9.9'], 'v2.0.0-rc.1'],
    [['2026-11-09', '2026-11-10'], '2026-11-10'],
    [[], undefined],
  ])('of %j %s is the highest', (tags, highest) => {
    expect(highestTag(tags)).toBe(highest)
    expect(highestTag([...tags].reverse())).toBe(highest)
  })
})
