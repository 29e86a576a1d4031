import { Type, type Static } from 'typebox'
import type { Page } from '../input/pages.ts'
import type { RecordedEvent } from '../security/security-events.ts'
import { securityEventTypes } from '../security/security-events.ts'
import { passwordMaxLength, usernamePattern } from '../users/credentials.ts'
import type { User } from '../users/user-repository.ts'
import { component, Instant, NextCursor, nullable, ref, strict, Uuid } from './component.ts'

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

export const UserAccount = component('UserAccount', Type.Object({
  id: Uuid,
  username: Type.String(),
  created_at: Instant
}, strict))

/** Returns a user as the API shows users to themselves. */
export function toUserAccount ({ id, username, createdAt }: User): Static<typeof UserAccount> {
  return { id, username, created_at: createdAt.toISOString() }
}

export const SecurityEvent = component(
  'SecurityEvent',
  Type.Object(
    {
      id: Type.String(),
      type: Type.Enum([...securityEventTypes]),
      at: Type.String({
        format: 'date-time',
        description: 'When the event happened. Of events that are counted together, the first.'
      }),
      count: Type.Integer({
        description: 'How many events this is. Wrong passwords from one place within one minute are counted together.'
      }),
      session_id: nullable(Uuid),
      ip: nullable(
        Type.String({
          description:
            'The address of the user. Null if an administrator did it. For events that are counted together, an IPv6 /64.'
        })
      ),
      by_admin: Type.Boolean({ description: 'True if an administrator did it.' }),
      details: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]), {
        description: 'Further facts, such as the scope of a logout.'
      })
    },
    strict
  )
)

export const SecurityEventPage = component('SecurityEventPage', Type.Object({
  events: Type.Array(ref(SecurityEvent)),
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
