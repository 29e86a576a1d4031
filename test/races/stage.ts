import { randomUUID } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import pg from 'pg'
import type { Test } from 'tap'
import { entryKey } from '../../src/entries/revocation.ts'
import { build, serversEnv, type Env } from '../support/app.ts'
import { quickHasher } from '../support/hasher.ts'
import { password, type Pair } from '../support/people.ts'
import { get, outcome, refresh } from '../support/requests.ts'
import { randomName, redisUrl } from '../support/services.ts'
import { claimsOf } from '../support/sessions.ts'
import { stepThrough, type Stepper } from './steps.ts'

/** Two replicas on one Postgres and one Redis, whose every step can be held, with access to both servers. */
export interface Stage {
  one: FastifyInstance
  two: FastifyInstance
  stepper: Stepper
  /** Adds a user with the password of all tests. */
  addUser (role?: 'user' | 'admin'): Promise<{ id: string, username: string }>
  /** Returns the sessions of a user, as they are in the database. */
  findSessions (userId: string): Promise<SessionRow[]>
  /** Runs a statement on the database, and returns its rows. */
  ask (statement: string, values?: unknown[]): Promise<Array<Record<string, unknown>>>
  /** Makes the grace of every refresh of a user a thing of the past. */
  endGrace (userId: string): Promise<void>
  /** Returns when the entry of a session ends, in milliseconds since the epoch; negative if there is none. */
  blockedUntil (sessionId: string): Promise<number>
}

export interface SessionRow {
  id: string
  ended_at: Date | null
  rotation_salt: Buffer | null
  access_expires_at: Date
}

/** The default of `CLOCK_LEEWAY`, in milliseconds. */
const leewayMs = 5_000

/** Longer than any test takes. */
const graceSeconds = 300

/** Deadlines that no test reaches: a request that waits for a lock waits for as long as the test holds it. */
const unhurried = {
  RATE_LIMITS: 'off',
  DATABASE_DEADLINE_MS: '30000',
  BLOCKLIST_DEADLINE_MS: '10000',
  REFRESH_GRACE: String(graceSeconds)
}

export async function setStage (t: Test, settings: Env = {}): Promise<Stage> {
  const env: Env = { ...await serversEnv(t), ...unhurried, ...settings }
  const [one, two] = await Promise.all([build(t, env), build(t, env)])
  const stepper = await stepThrough(t, [one, two])
  const database = new pg.Client({ connectionString: env['DATABASE_URL'] })
  const redis = new Redis(redisUrl())
  await database.connect()
  t.teardown(async () => {
    redis.disconnect()
    await database.end()
  })
  const passwordHash = await quickHasher.hash(password, 'here')
  const ask = async (statement: string, values: unknown[] = []) => (await database.query(statement, values)).rows
  return {
    one,
    two,
    stepper,
    ask,
    async addUser (role = 'user') {
      const user = { id: randomUUID(), username: `user-${randomName()}` }
      await ask('insert into users (id, username, password_hash, role) values ($1, $2, $3, $4)', [
        user.id, user.username, passwordHash, role
      ])
      return user
    },
    findSessions: async userId =>
      await ask('select * from sessions where user_id = $1', [userId]) as unknown as SessionRow[],
    async endGrace (userId) {
      await ask(
        `update sessions set rotated_at = rotated_at - interval '${graceSeconds} s' where user_id = $1`, [userId]
      )
    },
    blockedUntil: sessionId => redis.pexpiretime(`${env['BLOCKLIST_PREFIX']}${entryKey('session', sessionId)}`)
  }
}

/** Returns the answers of both replicas to an access token. */
export async function askBoth ({ one, two }: Stage, token: string): Promise<string> {
  const answers = await Promise.all([one, two].map(app => get(app, '/token', token)))
  return [...new Set(answers.map(outcome))].join(' and ')
}

/**
 * Returns what is wrong with a session that got these pairs, newest last, if it has ended. Both replicas must refuse
 * its access tokens until the last of them expires, and its last refresh tokens for good.
 */
export async function findLife (stage: Stage, row: SessionRow, pairs: Pair[]): Promise<string[]> {
  const problems: string[] = []
  const blockedUntil = await stage.blockedUntil(row.id)
  if (row.ended_at === null) problems.push('it has not ended')
  if (row.rotation_salt !== null) problems.push('its salt was kept')
  for (const pair of pairs) {
    const { exp } = claimsOf(pair)
    const asked = await askBoth(stage, pair.access_token)
    if (asked !== '401 token_revoked') problems.push(`an access token got ${asked}`)
    if (row.access_expires_at.getTime() < exp * 1000) problems.push('an access token outlives what is known of it')
    if (blockedUntil < exp * 1000 + 3 * leewayMs) problems.push('the blocklist forgets it too early')
  }
  for (const token of new Set(pairs.slice(-2).map(pair => pair.refresh_token))) {
    const { statusCode } = await refresh(stage.one, token)
    if (statusCode !== 401) problems.push(`a refresh token got ${statusCode}`)
  }
  return problems
}

/**
 * Returns what is wrong with a session that got these pairs, newest last, if it has not ended. All of its access
 * tokens, and its newest refresh token, must be accepted.
 */
export async function findDeath (stage: Stage, row: SessionRow, pairs: Pair[]): Promise<string[]> {
  const problems: string[] = []
  if (row.ended_at !== null) problems.push('it has ended')
  for (const pair of pairs) {
    const asked = await askBoth(stage, pair.access_token)
    if (asked !== '200') problems.push(`an access token got ${asked}`)
    if (row.access_expires_at.getTime() < claimsOf(pair).exp * 1000) {
      problems.push('an access token outlives what is known of it')
    }
  }
  const newest = pairs.at(-1)
  const answer = newest && outcome(await refresh(stage.two, newest.refresh_token))
  if (answer !== '200') problems.push(`its refresh token got ${answer}`)
  return problems
}
