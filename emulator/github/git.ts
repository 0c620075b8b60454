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
  /** The name of the commit's tree. */
  tree(sha: string): Promise<string | undefined>
  /** A new commit, on no branch. */
  commitTree(tree: string, parents: readonly string[], message: string): Promise<string>
  /** A new branch or tag at a commit. Error: it is there. */
  createReference(reference: string, sha: string): Promise<void>
  /** The tree as GitHub packs it. */
  archive(sha: string, prefix: string): Promise<Buffer>
}

/** The repository in this folder; what is checked out there is not touched. */
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
    async tree(sha) {
      try {
        return await git('rev-parse', '--verify', '--end-of-options', `${sha}^{tree}`)
      } catch {
        return undefined
      }
    },
    commitTree: (tree, parents, message) =>
      git(
        '-c',
        'user.name=Wherry',
        '-c',
        'user.email=wherry@localhost',
        'commit-tree',
        '-m',
        message,
        ...parents.flatMap((parent) => ['-p', parent]),
        '--end-of-options',
        tree,
      ),
    async createReference(reference, sha) {
      // An old value of zeros: only if it is not there.
      await git('update-ref', '--end-of-options', reference, sha, '0'.repeat(40))
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
