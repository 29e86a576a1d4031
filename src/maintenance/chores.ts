import { sql, type SQL } from 'drizzle-orm'
import { clientAssertions } from '../clients/tables.ts'
import type { Drizzle } from '../db/database.ts'
import { revocations, securityEvents, sessions, signingKeys, spentRefreshTokens, wrongPasswords } from '../db/tables.ts'
import { entryMarginSeconds } from '../entries/revocation.ts'
import { accountHashLength } from '../limits/limits.ts'
import type { Chore } from './janitor.ts'

export interface ChoreOptions {
  graceSeconds: number
  sessionMaxAgeSeconds: number
  sessionRetentionSeconds: number
  eventRetentionSeconds: number
  leewaySeconds: number
}

/** The largest number of rows in a batch. It is small, so that no request waits long for a batch. */
const batchSize = 500
const everyMinuteMs = 60_000
/** The largest number of unknown usernames whose wrong passwords are counted. Their names are stored as hashes. */
const maxUnknownUsernames = 100_000
/**
 * The pause between two deletions of salts whose grace is over. Such a salt is useless, but its deletion is promised.
 */
const saltsEveryMs = 5_000

const ago = (seconds: number) => sql`clock_timestamp() - make_interval(secs => ${seconds}::float8)`

/** Deletes counts of wrong passwords. */
const passwordChores: Chore[] = [
  {
    name: 'counts of wrong passwords',
    everyMs: everyMinuteMs,
    clearBatch: clearing(sql`delete from ${wrongPasswords} where account in (
      select account from ${wrongPasswords} where ${wrongPasswords.endsAt} <= clock_timestamp()
      limit ${batchSize} for update skip locked) returning account`)
  },
  {
    // An attacker can invent names without end. Those that were tried most stay.
    name: 'counts of wrong passwords for very many unknown usernames',
    everyMs: everyMinuteMs,
    clearBatch: clearing(sql`delete from ${wrongPasswords} where account in (
      select account from ${wrongPasswords} where length(account) = ${accountHashLength}::int
      order by ${wrongPasswords.attempts} desc, ${wrongPasswords.endsAt} desc
      offset ${maxUnknownUsernames}::int limit ${batchSize}) returning account`)
  }
]

/** Creates the chores that delete what the service no longer needs. */
export function createChores (options: ChoreOptions): Chore[] {
  const { graceSeconds, sessionMaxAgeSeconds, sessionRetentionSeconds, eventRetentionSeconds, leewaySeconds } = options
  const marginSeconds = entryMarginSeconds(leewaySeconds)
  /** Selects sessions that were over for long enough, and have no access token that a repeated end would revoke. */
  const isDue = sql`coalesce(${sessions.endedAt}, ${sessions.expiresAt}) < ${ago(sessionRetentionSeconds)}
    and ${sessions.accessExpiresAt} < ${ago(marginSeconds)}`
  return [
    {
      name: 'salts of rotations whose grace is over',
      everyMs: saltsEveryMs,
      clearBatch: clearing(sql`update ${sessions} set rotation_salt = null where id in (
        select id from ${sessions}
        where ${sessions.rotationSalt} is not null and ${sessions.rotatedAt} < ${ago(graceSeconds)}
        limit ${batchSize} for update skip locked) returning id`)
    },
    {
      // Before their sessions: a batch of sessions could have very many of them.
      name: 'spent refresh tokens of old sessions',
      everyMs: everyMinuteMs,
      clearBatch: clearing(sql`delete from ${spentRefreshTokens} where hash in (
        select ${spentRefreshTokens.hash} from ${spentRefreshTokens}
        join ${sessions} on ${sessions.id} = ${spentRefreshTokens.sessionId}
        where ${isDue} limit ${batchSize}) returning 1`)
    },
    {
      name: 'old sessions',
      everyMs: everyMinuteMs,
      clearBatch: clearing(sql`delete from ${sessions} where id in (
        select id from ${sessions} where ${isDue}
        and not exists (select from ${spentRefreshTokens} where ${spentRefreshTokens.sessionId} = ${sessions.id})
        limit ${batchSize} for update skip locked) returning id`)
    },
    {
      name: 'revocations of tokens that have expired',
      everyMs: everyMinuteMs,
      clearBatch: clearing(sql`delete from ${revocations} where position in (
        select position from ${revocations} where ${revocations.expiresAt} < ${ago(marginSeconds)}
        limit ${batchSize}) returning position`)
    },
    {
      // Compromised keys stay, so that they are known for good.
      name: 'signing keys that were retired long ago',
      everyMs: everyMinuteMs,
      clearBatch: clearing(sql`delete from ${signingKeys} where kid in (
        select kid from ${signingKeys} where ${signingKeys.state} = 'retired'
        and ${signingKeys.retiredAt} < ${ago(sessionMaxAgeSeconds)} and ${signingKeys.verifiesUntil} < clock_timestamp()
        limit ${batchSize} for update skip locked) returning kid`)
    },
    ...passwordChores,
    {
      // For longer than a replica whose clock is behind accepts them.
      name: 'used assertions of clients that have expired',
      everyMs: everyMinuteMs,
      clearBatch: clearing(sql`delete from ${clientAssertions} where hash in (
        select hash from ${clientAssertions} where ${clientAssertions.expiresAt} < ${ago(marginSeconds)}
        limit ${batchSize}) returning hash`)
    },
    {
      name: 'old security events',
      everyMs: everyMinuteMs,
      clearBatch: clearing(sql`delete from ${securityEvents} where position in (
        select position from ${securityEvents} where ${securityEvents.at} < ${ago(eventRetentionSeconds)}
        limit ${batchSize}) returning position`)
    }
  ]
}

/**
 * Creates a batch from a statement that returns a row for each row that it clears. Resolves to true if there may be
 * more.
 */
function clearing (statement: SQL): Chore['clearBatch'] {
  return async (db: Drizzle) => {
    const { rows } = await db.execute(statement) as { rows: unknown[] }
    return rows.length === batchSize
  }
}
