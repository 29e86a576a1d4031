import { Type, type Static } from 'typebox'
import type { RevocationOutcome, RevocationRequest } from '../administration/revocation-requests.ts'
import type { Page } from '../input/pages.ts'
import type { User } from '../users/user-repository.ts'
import { maxIdLength } from '../entries/revocation.ts'
import { Role, Status, userProperties } from './accounts.ts'
import {
  component, countOf, defaulted, epochSecondsOf, GivenUuid, NextCursor, nullable, ref, strict, Uuid
} from './component.ts'

export const ManagedUser = component('ManagedUser', Type.Object({ ...userProperties, status: Status }, strict))

export const UserPage = component('UserPage', Type.Object({
  users: Type.Array(ref(ManagedUser), { maxItems: 100, description: 'In the order of their registration.' }),
  next_cursor: NextCursor
}, strict))

export const RoleChange = component('RoleChange', Type.Object({ role: Role }, strict))

export const StatusChange = component('StatusChange', Type.Object({ status: Status }, strict))

/** Returns a user as administrators see it. */
export function toManagedUser ({ id, username, role, status, createdAt }: User): Static<typeof ManagedUser> {
  return { id, username, role, status, created_at: createdAt.toISOString() }
}

export function toUserPage ({ items, nextCursor }: Page<User>): Static<typeof UserPage> {
  return { users: items.map(toManagedUser), next_cursor: nextCursor ?? null }
}

export const RevocationOrder = component(
  'RevocationOrder',
  Type.Object(
    {
      token: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 8192,
          description: 'An access token of this service. Revokes this token alone.'
        })
      ),
      jti: Type.Optional(
        Type.String({ ...GivenUuid, description: 'The id of an access token. Revokes this token alone.' })
      ),
      sid: Type.Optional(
        Type.String({ ...GivenUuid, description: 'The id of a session. Ends it, with all its tokens.' })
      ),
      subject: Type.Optional(
        Type.String({ ...GivenUuid, description: 'The id of a user. Ends all sessions of the user.' })
      ),
      everyone: Type.Optional(
        Type.Boolean({
          description: 'With `true`: ends all sessions of all users, your own included. Needs a `reason`.'
        })
      ),
      reason: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 500,
          description: 'With `everyone`: why, in one line. It is recorded as a security event.'
        })
      ),
      expires_at: Type.Optional(
        epochSecondsOf(
          'With `token` or `jti`: refuse the token until this time, in seconds since the epoch. A time before the expiry of the token has no effect. For a `jti` that is the longest lifetime of a token.'
        )
      )
    },
    {
      ...strict,
      description: 'Exactly one of `token`, `jti`, `sid`, `subject` and `everyone`.',
      'x-exactly-one-of': ['token', 'jti', 'sid', 'subject', 'everyone'],
      examples: [{ sid: '00000000-0000-0000-0000-000000000000' }]
    }
  )
)

export const RevocationQuery = Type.Object({
  dry_run: defaulted(Type.Boolean({ default: false, description: 'Returns what would end, and ends nothing.' }))
}, strict)

export const RevocationResult = component(
  'RevocationResult',
  Type.Object(
    {
      dry_run: Type.Boolean({ description: 'True if nothing has ended, because the request asked what would.' }),
      tokens: Type.Array(Type.String({ maxLength: maxIdLength }), {
        maxItems: 1, description: 'The `jti` of each access token that was revoked.'
      }),
      sessions: Type.Array(Uuid, {
        maxItems: 10_000, description: 'The sessions that ended now, with all their tokens.'
      }),
      everyone: Type.Optional(Type.Object({
        sessions: nullable(countOf('The number of live sessions that ended.')),
        users: nullable(countOf('The number of users who were signed in.'))
      }, {
        ...strict,
        description: 'With `everyone` alone. The lists are empty then. Null if they could not be counted in time.'
      }))
    },
    strict
  )
)

export function toRevocationRequest ({
  token,
  jti,
  sid,
  subject,
  everyone,
  reason,
  expires_at: expiresAt
}: Static<typeof RevocationOrder>): RevocationRequest {
  return { token, jti, sid, subject, everyone, reason, expiresAt }
}

export function toRevocationResult (outcome: RevocationOutcome, dryRun: boolean): Static<typeof RevocationResult> {
  return { dry_run: dryRun, ...outcome }
}
