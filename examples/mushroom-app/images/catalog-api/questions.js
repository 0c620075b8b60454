// What people asked and were answered, in PostgreSQL. A connection that breaks is made anew, and what was
// being done is done again: each question has a key of its own, so it is kept once.

import { randomUUID } from 'node:crypto'
import pg from 'pg'

const LATEST = 8
const ATTEMPTS = 3
const AGAIN_MS = 300

const pool = new pg.Pool({
  host: process.env.DATABASE_HOST,
  port: Number(process.env.DATABASE_PORT ?? 5432),
  user: process.env.DATABASE_USER,
  password: process.env.DATABASE_PASSWORD,
  database: process.env.DATABASE_NAME,
  max: 4,
  connectionTimeoutMillis: 2000,
  query_timeout: 2000,
  idleTimeoutMillis: 10_000,
})
// An idle connection that breaks is no reason to end.
pool.on('error', (error) => console.error(`catalog-api: database: ${error.message}`))

let hasTable = false

async function query(text, values) {
  // Without a name pg would look for one on this machine, three times.
  if (!process.env.DATABASE_HOST) throw new Error('DATABASE_HOST is not set')
  for (let attempt = 1; ; attempt++) {
    try {
      if (!hasTable) await makeTable()
      return (await pool.query(text, values)).rows
    } catch (error) {
      if (attempt === ATTEMPTS) throw error
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS * attempt))
    }
  }
}

async function makeTable() {
  await pool.query(`CREATE TABLE IF NOT EXISTS questions (
    id uuid PRIMARY KEY,
    asked_at timestamptz NOT NULL DEFAULT now(),
    traits jsonb NOT NULL,
    answer text,
    probability double precision NOT NULL
  )`)
  hasTable = true
}

/** Answers its id once it is on the disk. */
export async function keep({ traits, answer, probability }) {
  const id = randomUUID()
  await query(
    'INSERT INTO questions (id, traits, answer, probability) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING',
    [id, traits, answer, probability],
  )
  return id
}

/** The newest first, and how many there are. */
export async function latest() {
  const rows = await query(
    'SELECT id, asked_at AS "askedAt", answer, probability, count(*) OVER () AS total FROM questions ORDER BY asked_at DESC, id LIMIT $1',
    [LATEST],
  )
  return rows.map(({ total, ...row }) => ({ ...row, total: Number(total) }))
}
