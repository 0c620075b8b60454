// A real git repository in a temporary folder, made by the git program.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export interface GitRepository {
  folder: string
  /** Writes files (null removes one), commits, answers the commit. */
  commit(message: string, files: Record<string, string | null>): string
  link(path: string, target: string): void
  git(...args: string[]): string
  remove(): void
}

export function createGitRepository(): GitRepository {
  const folder = mkdtempSync(join(tmpdir(), 'wherry-git-'))
  const git = (...args: string[]): string =>
    execFileSync('git', ['-C', folder, ...args], {
      encoding: 'utf8',
      env: {
        ...process.env,
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_CONFIG_GLOBAL: '/dev/null',
        GIT_AUTHOR_NAME: 'A',
        GIT_AUTHOR_EMAIL: 'a@example.com',
        GIT_COMMITTER_NAME: 'A',
        GIT_COMMITTER_EMAIL: 'a@example.com',
      },
    }).trim()
  git('init', '-q', '-b', 'main')
  return {
    folder,
    git,
    commit(message, files) {
      for (const [path, text] of Object.entries(files)) {
        const file = join(folder, path)
        if (text === null) rmSync(file)
        else {
          mkdirSync(dirname(file), { recursive: true })
          writeFileSync(file, text)
        }
      }
      git('add', '-A')
      git('commit', '-q', '--allow-empty', '-m', message)
      return git('rev-parse', 'HEAD')
    },
    link: (path, target) => symlinkSync(target, join(folder, path)),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
