import { and, isNotNull, isNull, sql, type SQL } from 'drizzle-orm'
import {
  bigint,
  boolean,
  customType,
  index,
  inet,
  integer,
  jsonb,
  pgTable,
  text,
  timestamp,
  uniqueIndex,
  uuid
} from 'drizzle-orm/pg-core'
import type { RevocationScope } from '../entries/revocation.ts'
import type { PublicJwk } from './public-jwk.ts'
import { foldedCase } from './case-folding.ts'

/** Instants are kept in UTC with the millisecond precision that JavaScript has. */
const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' })

const bytes = customType<{ data: Uint8Array, driverData: Uint8Array }>({ dataType: () => 'bytea' })

export type Status = 'active' | 'disabled'

/** Further facts about a security event: those that fit its type. `out_before` is in seconds since the epoch. */
export type EventDetails = Partial<Record<'reason' | 'jti' | 'kid' | 'retired' | 'client' | 'rights', string>> &
  Partial<Record<'sessions' | 'out_before', number>> &
  { role?: string, status?: Status, scope?: 'session' | 'others' | 'all', by?: 'admin' | 'operator' }

/** Why a session ended. */
export const endReasons = [
  'logout', 'ended_by_owner', 'password_changed', 'reauthenticated', 'account_deleted', 'refresh_token_reused',
  'too_many_sessions', 'ended_by_admin', 'role_changed', 'account_disabled', 'everyone_out'
] as const
export type EndReason = typeof endReasons[number]

export const users = pgTable('users', {
  id: uuid('id').primaryKey(),
  /** With the letters that were typed at registration. */
  username: text('username').notNull(),
  /** Argon2id in PHC string format. */
  passwordHash: text('password_hash').notNull(),
  /** The name of a role. */
  role: text('role').notNull().default('user'),
  status: text('status').$type<Status>().notNull().default('active'),
  createdAt: instant('created_at').notNull().defaultNow()
}, table => [
  uniqueIndex('users_username_folded').on(foldedCase(table.username)),
  // The previous release searches by this one. It follows the locale of the database; a later release removes it.
  uniqueIndex('users_username_unique').on(sql`lower(${table.username})`),
  // The pages of the list of users, and the administrators that a change of one has to count.
  index('users_by_age').on(table.createdAt, table.id),
  index('users_admins').on(table.id).where(sql`${table.role} = 'admin'`)
])

/** Sessions. Rows outlive the user, so that ending a session can be repeated: there is no foreign key. */
export const sessions = pgTable(
  'sessions',
  {
    /** `sid` of its access tokens. */
    id: uuid('id').primaryKey(),
    userId: uuid('user_id').notNull(),
    createdAt: instant('created_at').notNull(),
    /** When it was opened or last refreshed. */
    lastUsedAt: instant('last_used_at').notNull(),
    /** When it ends unless it is refreshed before, and never after `max_expires_at`. */
    expiresAt: instant('expires_at').notNull(),
    maxExpiresAt: instant('max_expires_at').notNull(),
    endedAt: instant('ended_at'),
    endReason: text('end_reason').$type<EndReason>(),
    ip: inet('ip'),
    userAgent: text('user_agent'),
    /** When the last of its access tokens expires. Until then, the blocklist must have its revocation if it ends. */
    accessExpiresAt: instant('access_expires_at').notNull(),
    /** SHA-256 of the one refresh token that is live. */
    refreshTokenHash: bytes('refresh_token_hash').notNull(),
    /**
     * The access token that was issued together with the live refresh token, so that the same pair can be sent again.
     */
    accessTokenId: uuid('access_token_id').notNull(),
    accessTokenIssuedAt: instant('access_token_issued_at').notNull(),
    accessTokenExpiresAt: instant('access_token_expires_at').notNull(),
    /**
     * The salt with which the live refresh token was derived from its predecessor. Null once the grace of the
     * predecessor is over.
     */
    rotationSalt: bytes('rotation_salt'),
    rotatedAt: instant('rotated_at'),
    /** When an access token of the live pair was first seen. Null if none was, as far as is noted. */
    usedAt: instant('used_at')
  },
  table => [
    uniqueIndex('sessions_refresh_token').on(table.refreshTokenHash),
    index('sessions_of_user').on(table.userId, table.createdAt),
    // Known places. Otherwise the search takes longer the more sessions an account has, which tells that it exists.
    index('sessions_by_place')
      .on(table.userId, table.ip)
      .where(and(isNull(table.rotatedAt), isNull(table.endedAt)) as SQL),
    index('sessions_in_grace').on(table.rotatedAt).where(isNotNull(table.rotationSalt)),
    index('sessions_by_end').on(sql`coalesce(${table.endedAt}, ${table.expiresAt})`),
    index('sessions_by_access_end').on(table.accessExpiresAt)
  ]
)

/** SHA-256 of every refresh token that was used, for as long as its session is kept. */
export const spentRefreshTokens = pgTable('spent_refresh_tokens', {
  hash: bytes('hash').primaryKey(),
  sessionId: uuid('session_id').notNull().references(() => sessions.id, { onDelete: 'cascade' }),
  /** SHA-256 of the token that it was exchanged for. Null for a superseded token, which was never exchanged. */
  successorHash: bytes('successor_hash'),
  /** When it was exchanged first. */
  spentAt: instant('spent_at')
}, table => [
  index('spent_refresh_tokens_of_session').on(table.sessionId)
])

export const securityEvents = pgTable(
  'security_events',
  {
    position: bigint('position', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
    type: text('type').notNull(),
    /** The user whose account it is about. Null for a login with an unknown username. */
    userId: uuid('user_id'),
    /** The administrator who did it. Null if it was the user. */
    actorId: uuid('actor_id'),
    sessionId: uuid('session_id'),
    /**
     * The IP address of the requester. For events that are counted together, the place: an IPv4 address, or a /64 of
     * IPv6.
     */
    ip: inet('ip'),
    /** Further details, such as the scope of a logout. */
    details: jsonb('details').$type<EventDetails>(),
    at: instant('at').notNull(),
    /** The number of events that are counted together. */
    count: integer('count').notNull().default(1),
    /** The key of events that are counted together. Null for an event that is not counted. */
    countedAs: text('counted_as')
  },
  table => [
    uniqueIndex('security_events_counted').on(table.countedAs),
    index('security_events_of_user').on(table.userId, table.position),
    // Known places. Otherwise the search takes longer the more events an account has, which tells that it exists.
    index('security_events_by_place')
      .on(table.userId, table.ip)
      .where(sql`type in ('login', 'password_changed') and actor_id is null`),
    index('security_events_by_age').on(table.at)
  ]
)

/** Wrong passwords of accounts in a row. A right password deletes the row. */
export const wrongPasswords = pgTable('wrong_passwords', {
  /** The id of a user, an HMAC of an unknown username, or the id of the session in whose name they were tried. */
  account: text('account').primaryKey(),
  attempts: integer('attempts').notNull(),
  /** When the window ends, which began with the first of them. */
  endsAt: instant('ends_at').notNull()
}, table => [
  index('wrong_passwords_by_end').on(table.endsAt)
])

/** The life of a signing key, in order. A compromised key leaves it at any time, for good. */
export const keyStates = ['spare', 'active', 'retired', 'compromised'] as const
export type KeyState = typeof keyStates[number]

export const signingKeys = pgTable('signing_keys', {
  kid: text('kid').primaryKey(),
  /** `spare`: published, and signs later. `active`: signs. `retired`: verifies what it has signed. */
  state: text('state').$type<KeyState>().notNull().default('active'),
  publicJwk: jsonb('public_jwk').$type<PublicJwk>().notNull(),
  /**
   * A JWE: readable only with KEY_ENCRYPTION_SECRET. Two while that is changed. Empty for a key that signs no more, but
   * for those that the previous release retired.
   */
  encryptedPrivateJwk: text('encrypted_private_jwk').notNull(),
  createdAt: instant('created_at').notNull().defaultNow(),
  /** When it began to sign. Null for a spare key, and for a key of the first release. */
  signsSince: instant('signs_since'),
  /**
   * When it stopped signing; null while it signs. The previous release signs with the key that has none, so a spare
   * key has an instant long ago.
   */
  retiredAt: instant('retired_at'),
  /** When the last token that it may have signed expires. Null until it is retired. */
  verifiesUntil: instant('verifies_until')
}, table => [
  // At most one key signs: of replicas that start at the same instant, the first one's key stays.
  uniqueIndex('signing_keys_one_active').on(sql`(true)`).where(isNull(table.retiredAt)),
  uniqueIndex('signing_keys_one_spare').on(sql`(true)`).where(sql`${table.state} = 'spare'`)
])

/** The secret from which all other secrets of the service are derived: one row. */
export const rootSecrets = pgTable('root_secrets', {
  isOnly: boolean('is_only').primaryKey().default(true),
  /** A JWE, or two while KEY_ENCRYPTION_SECRET is changed. */
  encrypted: text('encrypted').notNull()
})

/** The record: a row for each revocation. The blocklist can be rebuilt from it. */
export const revocations = pgTable('revocations', {
  /** Allocated before the commit, so a higher one can be committed first. */
  position: bigint('position', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  scope: text('scope').$type<RevocationScope>().notNull(),
  /** A `jti`, a `sid` or a `kid`; `everyone` for everyone. */
  id: text('id').notNull(),
  /** The user, if known. */
  subject: uuid('subject'),
  /** For everyone: tokens with an earlier `auth_time` are refused. In whole seconds. */
  issuedBefore: instant('issued_before'),
  /** When the last token that it ends expires. Infinity for a key and for everyone. */
  expiresAt: instant('expires_at').notNull(),
  reason: text('reason').$type<EndReason | 'token_revoked' | 'superseded' | 'key_compromised'>().notNull(),
  createdAt: instant('created_at').notNull()
}, table => [
  index('revocations_by_end').on(table.expiresAt),
  index('revocations_by_id').on(table.id),
  // The latest instant before which everyone is out: asked for with each session that is read.
  index('revocations_of_everyone').on(table.issuedBefore).where(sql`${table.scope} = 'everyone'`)
])

/**
 * The ids that the record has had; the newest is the present one. The record gets another id when it has lost its end,
 * because Postgres was restored from a backup.
 */
export const recordIds = pgTable('records', {
  number: bigint('number', { mode: 'number' }).primaryKey().generatedAlwaysAsIdentity(),
  id: uuid('id').notNull(),
  /** The greatest position to which the marker was ever to be moved. */
  marked: bigint('marked', { mode: 'number' }).notNull().default(0),
  /** The format in which the record is written, see `recordFormat`. */
  format: integer('format').notNull(),
  createdAt: instant('created_at').notNull()
})

/** The lease of the projector: one row at most. */
export const projectorLease = pgTable('projector_lease', {
  isOnly: boolean('is_only').primaryKey().default(true),
  holder: uuid('holder').notNull(),
  heldUntil: instant('held_until').notNull()
})
