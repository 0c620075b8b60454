// A folder with a git repository, read by the git program: what the GitHub of this machine serves.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)
const ARCHIVE_MAX = 200_000_000
const DEADLINE_MS = 20_000

export interface GitCommit {
  sha: string
  message: string
}

export interface GitFolder {
  /** The commit of `refs/heads/main`, `refs/tags/v1` or a commit's own name. */
  commit(reference: string): Promise<GitCommit | undefined>
  /** `refs/tags/v1` → commit, for all references that begin so. */
  references(prefix: string): Promise<{ ref: string; sha: string }[]>
  /** The branch that is checked out. */
  branch(): Promise<string>
  /** The tree as GitHub packs it. */
  archive(sha: string, prefix: string): Promise<Buffer>
}

/** Reads the repository in this folder; nothing in it is changed. */
export function openGitFolder(folder: string): GitFolder {
  const git = async (...args: string[]): Promise<string> => {
    const { stdout } = await run('git', ['-C', folder, ...args], { timeout: DEADLINE_MS })
    return stdout.trim()
  }
  return {
    async commit(reference) {
      try {
        const text = await git('log', '-1', '--format=%H%n%B', '--end-of-options', reference, '--')
        const [sha = '', ...message] = text.split('\n')
        return { sha, message: message.join('\n') }
      } catch {
        return undefined
      }
    },
    async references(prefix) {
      const text = await git('for-each-ref', '--format=%(refname) %(objectname)')
      return text.split('\n').flatMap((line) => {
        const [ref = '', sha = ''] = line.split(' ')
        return ref.startsWith(prefix) && ref !== '' ? [{ ref, sha }] : []
      })
    },
    branch: () => git('rev-parse', '--abbrev-ref', 'HEAD'),
    async archive(sha, prefix) {
      const { stdout } = await run(
        'git',
        ['-C', folder, 'archive', '--format=tar.gz', `--prefix=${prefix}/`, sha],
        { timeout: DEADLINE_MS, maxBuffer: ARCHIVE_MAX, encoding: 'buffer' },
      )
      return stdout
    },
  }
}
