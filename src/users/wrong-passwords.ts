import { sql } from 'drizzle-orm'
import type { Database, Drizzle } from '../db/database.ts'
import { wrongPasswords } from '../db/tables.ts'
import type { RateLimit } from '../errors.ts'
import { createAccountHash, tooMany } from '../limits/limits.ts'
import type { User } from './user-repository.ts'

/** An account that a password is tried for. The username may not exist, which makes no difference. */
export interface GuessedAccount {
  username: string
  user: User | undefined
  /** The session in whose name the password is tried, if there is one. It has a row of its own. */
  sessionId?: string | undefined
  /** Resolves to true at a place where the limit does not apply, because the owner would be locked out. */
  isKnownPlace: () => Promise<boolean>
}

/**
 * Limits the wrong passwords of one account in a row, as NIST SP 800-63B-4 does in section 3.2.2. They are counted in
 * Postgres, over days, so a Redis that has lost its data gives none of them back.
 *
 * The limit does not apply at known places. Attempts in the name of a session are counted apart, so strangers cannot
 * keep its owner from proving the password. Each method rejects with `too_many_requests` if the limit is used up.
 */
export interface WrongPasswords {
  /** Call it before a password is verified. */
  admit (account: GuessedAccount): Promise<void>
  /**
   * Counts the result of a verification, before the requester gets it. Rejects if other guesses at the same time have
   * used up the limit: so no more results than the limit allows are given. A right password ends the row.
   */
  conclude (account: GuessedAccount, isRight: boolean): Promise<void>
}

export interface WrongPasswordsOptions {
  database: Database
  limit: RateLimit
  /** Makes unknown usernames unreadable. It must be the same for all replicas. */
  secret: Uint8Array
}

/** Wrong passwords without a limit. */
export const unlimitedWrongPasswords: WrongPasswords = { admit: async () => {}, conclude: async () => {} }

/** Forgets the wrong passwords of a user, because the password is another one now. */
export async function forgetWrongPasswords (db: Drizzle, userId: string): Promise<void> {
  await db.delete(wrongPasswords).where(sql`${wrongPasswords.account} = ${userId}`)
}

export function createWrongPasswords ({ database, limit, secret }: WrongPasswordsOptions): WrongPasswords {
  const hashAccount = createAccountHash(secret)
  const keyOf = ({ user, username, sessionId }: GuessedAccount) =>
    sessionId === undefined ? user?.id ?? hashAccount(username) : `session ${sessionId}`
  const { account, attempts, endsAt } = wrongPasswords
  const isOver = sql`${endsAt} <= clock_timestamp()`

  /** Returns the milliseconds until a limit that is used up passes, or undefined if it is not used up. */
  async function readLeft (key: string): Promise<number | undefined> {
    const [row] = await database.run(db => db
      .select({ leftMs: sql<number>`(extract(epoch from ${endsAt} - clock_timestamp()) * 1000)::float8` })
      .from(wrongPasswords)
      .where(sql`${account} = ${key} and ${attempts} >= ${limit.attempts} and not ${isOver}`))
    return row?.leftMs
  }

  /** Counts a wrong password. If the limit is used up, counts nothing and returns what `readLeft` does. */
  async function count (key: string): Promise<number | undefined> {
    const nextEnd = sql`clock_timestamp() + make_interval(secs => ${limit.windowSeconds}::float8)`
    const counted = await database.run(db => db.insert(wrongPasswords)
      .values({ account: key, attempts: 1, endsAt: nextEnd })
      .onConflictDoUpdate({
        target: account,
        set: {
          attempts: sql`case when ${isOver} then 1 else ${attempts} + 1 end`,
          endsAt: sql`case when ${isOver} then excluded.ends_at else ${endsAt} end`
        },
        setWhere: sql`${isOver} or ${attempts} < ${limit.attempts}`
      })
      .returning({ account }))
    return counted.length > 0 ? undefined : await readLeft(key) ?? 0
  }

  /** Ends a row. If the limit is used up, ends nothing and returns what `readLeft` does. */
  async function forget (key: string): Promise<number | undefined> {
    const condition = sql`${account} = ${key} and (${isOver} or ${attempts} < ${limit.attempts})`
    const forgotten = await database.run(db => db.delete(wrongPasswords).where(condition).returning({ account }))
    // In a statement of its own: the snapshot of the first may be older than a guess that has used up the limit.
    return forgotten.length > 0 ? undefined : await readLeft(key)
  }

  /** Rejects at a place that is not known, and in the name of a session. */
  async function refuse (guessed: GuessedAccount, leftMs: number): Promise<void> {
    if (guessed.sessionId !== undefined || !await guessed.isKnownPlace()) throw tooMany(limit, leftMs)
  }

  return {
    async admit (guessed) {
      const leftMs = await readLeft(keyOf(guessed))
      if (leftMs !== undefined) await refuse(guessed, leftMs)
    },
    async conclude (guessed, isRight) {
      const key = keyOf(guessed)
      const leftMs = isRight ? await forget(key) : await count(key)
      if (leftMs !== undefined) await refuse(guessed, leftMs)
      // A right password at a known place, or in the name of a session, ends the row for all places.
      const isForAll = isRight && (leftMs !== undefined || guessed.sessionId !== undefined)
      if (isForAll) await database.run(db => db.delete(wrongPasswords).where(sql`${account} = ${guessed.user?.id}`))
    }
  }
}
