import { Type, type Static } from 'typebox'
import { maxIdLength } from '../entries/revocation.ts'
import type { Page } from '../input/pages.ts'
import { ipMaxLength } from '../input/requester.ts'
import type { RecordedEvent } from '../security/security-events.ts'
import { maxRoleNameLength, roleNamePattern } from '../roles/role-names.ts'
import { securityEventTypes } from '../security/security-events.ts'
import { passwordMaxLength, usernamePattern } from '../users/credentials.ts'
import type { User } from '../users/user-repository.ts'
import {
  component, countOf, Instant, instantOf, NextCursor, nullable, ref, strict, uuidOf, Uuid
} from './component.ts'

/** Normalisation can shorten a text, so a password may be sent in a longer form. */
const passwordInput = {
  minLength: 1,
  maxLength: 4 * passwordMaxLength,
  format: 'password',
  examples: ['correct horse battery staple']
}

export const Password = Type.String(passwordInput)
const NewPassword = Type.String({
  ...passwordInput,
  'x-new-password': true,
  'x-must': `must have ${passwordMaxLength} characters or fewer`,
  description: `15 to ${passwordMaxLength} characters of any kind, counted after NFC normalisation. ` +
    'The operator may have lowered the minimum to no less than 8.'
})

export const Registration = component(
  'Registration',
  Type.Object(
    {
      username: Type.String({
        maxLength: 254,
        pattern: usernamePattern,
        'x-must': 'must have 3 to 254 characters: letters from a to z, digits, and . _ % + @ -',
        description: '3 to 254 letters (a to z), digits and characters of `._%+@-`. Unique without regard to case.',
        examples: ['ada@example.com']
      }),
      password: NewPassword
    },
    strict
  )
)

export const Credentials = component('Credentials', Type.Object({
  username: Type.String({ minLength: 1, maxLength: 254, examples: ['ada@example.com'] }),
  password: Password,
  end_other_sessions: Type.Optional(
    Type.Boolean({ description: 'True to end all other sessions of the user. For an owner who suspects a thief.' })
  )
}, {
  ...strict,
  // The documentation page fills in this body.
  examples: [{ username: 'ada@example.com', password: passwordInput.examples[0] }]
}))

export const PasswordProof = component('PasswordProof', Type.Object({
  password: Password
}, strict))

export const PasswordChange = component('PasswordChange', Type.Object({
  current_password: Password,
  new_password: Type.String({ ...NewPassword, examples: ['another correct horse battery staple'] })
}, strict))

export const Role = Type.String({
  minLength: 1,
  maxLength: maxRoleNameLength,
  pattern: roleNamePattern,
  'x-must': 'must be the name of a role',
  description: 'The name of a role: `user`, `admin`, or one that the operator has defined. Tokens have its scopes.',
  examples: ['user']
})

export const Status = Type.Enum(['active', 'disabled'], { description: 'A `disabled` user cannot sign in.' })

/** The properties of a user in every answer. */
export const userProperties = {
  id: Uuid,
  username: Type.String({ maxLength: 254 }),
  role: Role,
  created_at: Instant
}

export const UserAccount = component('UserAccount', Type.Object(userProperties, strict))

/** Returns a user as the API shows users to themselves. */
export function toUserAccount ({ id, username, role, createdAt }: User): Static<typeof UserAccount> {
  return { id, username, role, created_at: createdAt.toISOString() }
}

const EventDetails = Type.Object({
  role: Type.Optional(Role),
  status: Type.Optional(Status),
  sessions: Type.Optional(countOf('How many sessions ended.')),
  scope: Type.Optional(Type.Enum(['session', 'others', 'all'], { description: 'The sessions that a logout ended.' })),
  reason: Type.Optional(Type.String({ maxLength: 500, description: 'Why a session ended.' })),
  jti: Type.Optional(Type.String({ maxLength: maxIdLength, description: 'The id of a revoked token.' }))
}, { ...strict, description: 'Further facts. An event has those that fit its type.' })

export const SecurityEvent = component(
  'SecurityEvent',
  Type.Object(
    {
      id: Type.String({ maxLength: 20, description: 'Unique. Greater numbers are later events.' }),
      type: Type.Enum([...securityEventTypes]),
      at: instantOf('When the event happened. Of events that are counted together, the first.'),
      count: countOf(
        'How many events this is. Wrong passwords from one place within one minute are counted together.'
      ),
      session_id: nullable(uuidOf('The session that the event is about. Null if it is about none.')),
      ip: nullable(
        Type.String({
          maxLength: ipMaxLength,
          description:
            'The address of the user. Null if an administrator did it. For events that are counted together, an IPv6 /64.'
        })
      ),
      by_admin: Type.Boolean({ description: 'True if an administrator did it.' }),
      details: EventDetails
    },
    strict
  )
)

export const SecurityEventPage = component('SecurityEventPage', Type.Object({
  events: Type.Array(ref(SecurityEvent), { maxItems: 100, description: 'Newest first.' }),
  next_cursor: NextCursor
}, strict))

export function toSecurityEventPage ({ items, nextCursor }: Page<RecordedEvent>): Static<typeof SecurityEventPage> {
  return { events: items.map(toSecurityEvent), next_cursor: nextCursor ?? null }
}

/** Returns an event as its user sees it. The IP address of an administrator or an operator is left out. */
function toSecurityEvent ({
  position,
  type,
  at,
  count,
  userId,
  actorId,
  sessionId,
  ip,
  details
}: RecordedEvent): Static<typeof SecurityEvent> {
  const { by, ...others } = details ?? {}
  const isOwn = by === undefined || actorId === userId
  return {
    id: String(position),
    type: type as Static<typeof SecurityEvent>['type'],
    at: at.toISOString(),
    count,
    session_id: sessionId,
    ip: isOwn ? ip : null,
    by_admin: by !== undefined,
    details: others
  }
}
