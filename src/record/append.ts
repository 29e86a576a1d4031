import type { Sql } from '../db/sql.ts'
import type { EndReason } from '../db/tables.ts'
import type { Revocation } from '../entries/revocation.ts'
import { enterBarrier } from './barrier.ts'

/** A revocation with the reason for which it is recorded. */
export interface RecordedRevocation extends Revocation {
  reason: EndReason | 'token_revoked' | 'superseded' | 'key_compromised'
}

/**
 * Adds revocations to the record, in the transaction of the change that causes them. Once that is committed they take
 * effect automatically, even if the blocklist is down.
 */
export async function appendRevocations (sql: Sql, added: readonly RecordedRevocation[]): Promise<void> {
  if (added.length === 0) return
  await enterBarrier(sql)
  // One parameter for all rows: a statement has at most 65,535 of them.
  const rows = added.map(({ expiresAt, issuedBefore, ...row }) => ({
    ...row,
    // JSON has no Infinity.
    expires_at: Number.isFinite(expiresAt) ? expiresAt : null,
    issued_before: issuedBefore
  }))
  await sql.query(`insert into revocations (scope, id, subject, reason, issued_before, expires_at, created_at)
    select scope, id, subject, reason, to_timestamp(issued_before), coalesce(to_timestamp(expires_at), 'infinity'),
      clock_timestamp()
    from json_to_recordset($1::json) as added (scope text, id text, subject uuid, reason text, issued_before float8,
      expires_at float8)`,
  [JSON.stringify(rows)])
}
