import { Type, type Static } from 'typebox'
import { endReasons } from '../db/tables.ts'
import { ipMaxLength, userAgentMaxLength } from '../input/requester.ts'
import type { Session as SessionRow } from '../sessions/session-repository.ts'
import type { TokenPair as IssuedPair } from '../sessions/token-pair.ts'
import { Password } from './accounts.ts'
import {
  component, countOf, defaulted, epochSecondsOf, Instant, instantOf, nullable, ref, strict, uuidOf
} from './component.ts'

export const TokenPair = component(
  'TokenPair',
  Type.Object(
    {
      access_token: Type.String({
        maxLength: 8192,
        description: 'A JWT in the profile of RFC 9068, to be sent as `Authorization: Bearer`.'
      }),
      token_type: Type.Literal('Bearer', { description: 'RFC 6750.' }),
      expires_in: countOf('The lifetime of the access token in seconds.'),
      refresh_token: Type.Optional(Type.String({
        maxLength: 255,
        description: 'Works once, for the next pair. Always there for a bearer client, and never for a cookie client.'
      })),
      refresh_expires_in: countOf('How long the session lives without a refresh, in seconds.')
    },
    strict
  )
)

/** Returns a pair as a bearer client gets it. */
export function toTokenPair (pair: IssuedPair): Required<Static<typeof TokenPair>> {
  return { ...toCookieClientsPair(pair), refresh_token: pair.refreshToken }
}

/** Returns a pair as a cookie client gets it: the refresh token is in the cookie. */
export function toCookieClientsPair (pair: IssuedPair): Omit<Static<typeof TokenPair>, 'refresh_token'> {
  return {
    access_token: pair.accessToken,
    token_type: 'Bearer',
    expires_in: pair.expiresInSeconds,
    refresh_expires_in: pair.refreshExpiresInSeconds
  }
}

const refreshTokenExamples = ['<refresh_token of POST /login>']
/**
 * Long enough for an access token that was sent by mistake, so that the answer can say that it is not a refresh token.
 */
const refreshTokenInput = Type.String({ minLength: 1, maxLength: 4096, examples: refreshTokenExamples })

export const RefreshInput = component('RefreshInput', Type.Object({
  refresh_token: refreshTokenInput
}, strict))

interface LogoutBody {
  refresh_token?: string | null
  password?: string
}

export const LogoutInput = component('LogoutInput', Type.Unsafe<LogoutBody | null>({
  type: ['object', 'null'],
  properties: {
    // Any text: a malformed refresh token beside a good access token must not make a logout fail.
    refresh_token: {
      type: ['string', 'null'],
      // A body has no room for more.
      maxLength: 65_536,
      description: 'The refresh token, if the client has one.',
      examples: refreshTokenExamples
    },
    password: {
      ...Password,
      description: 'The password of the user, to end other sessions without a recent login.'
    }
  },
  ...strict,
  // The documentation page fills in this body. With an access token it works.
  examples: [{}]
}))

export const LogoutQuery = Type.Object(
  {
    scope: Type.Optional(
      Type.Enum(['others', 'all'], {
        description: '`others` ends all other sessions of the user, and `all` ends all of them.'
      })
    )
  },
  strict
)

export const LoggedOut = component('LoggedOut', Type.Object({
  message: Type.Literal('Successfully logged out')
}, strict))

export const TokenInfo = component('TokenInfo', Type.Object({
  sub: uuidOf('The user.'),
  sid: uuidOf('The session.'),
  scope: Type.String({
    maxLength: 1000, description: 'The scopes of the token, with spaces between them (RFC 6749, section 3.3).'
  }),
  iat: epochSecondsOf('When the token was issued, in seconds since the epoch.'),
  exp: epochSecondsOf('When the token expires, in seconds since the epoch.'),
  auth_time: Type.Optional(epochSecondsOf('When the user last proved the password, in seconds since the epoch.'))
}, strict))

export const Session = component(
  'Session',
  Type.Object(
    {
      id: uuidOf('`sid` of its access tokens.'),
      created_at: Instant,
      last_used_at: instantOf('The time of the login or of the last refresh.'),
      expires_at: instantOf('When the session expires without a refresh.'),
      ip: nullable(
        Type.String({ maxLength: ipMaxLength, description: 'The IP address of the login or of the last refresh.' })
      ),
      user_agent: nullable(
        Type.String({
          maxLength: userAgentMaxLength,
          description: `The User-Agent of the login or of the last refresh, at most ${userAgentMaxLength} characters.`
        })
      ),
      current: Type.Boolean({ description: 'True for the session of this request.' }),
      ended_at: Type.Optional(Instant),
      end_reason: Type.Optional(
        Type.Enum([...endReasons], { description: 'Why it ended. Absent, as `ended_at` is, if the session expired.' })
      )
    },
    strict
  )
)

export const Sessions = component('Sessions', Type.Object({
  sessions: Type.Array(ref(Session), { maxItems: 1000, description: 'Newest first.' })
}, strict))

export const SessionsQuery = Type.Object(
  {
    state: defaulted(
      Type.Enum(['live', 'over'], {
        default: 'live',
        description: '`live` lists live sessions. `over` lists the last 100 that have ended or expired.'
      })
    )
  },
  strict
)

/** @param currentId the session of the request */
export function toSessions (rows: SessionRow[], currentId: string): Static<typeof Sessions> {
  return { sessions: rows.map(row => toSession(row, currentId)) }
}

function toSession (row: SessionRow, currentId: string): Static<typeof Session> {
  return {
    id: row.id,
    created_at: row.createdAt.toISOString(),
    last_used_at: row.lastUsedAt.toISOString(),
    expires_at: row.expiresAt.toISOString(),
    ip: row.ip,
    user_agent: row.userAgent,
    current: row.id === currentId,
    ...row.endedAt !== null && { ended_at: row.endedAt.toISOString() },
    ...row.endReason !== null && { end_reason: row.endReason }
  }
}
