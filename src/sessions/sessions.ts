import type { Database } from '../db/database.ts'
import { createLogin, type Login, type LoginOptions } from './login.ts'
import { createLogOut, type LogOut } from './logout-credentials.ts'
import { createLogout, type Logout } from './logout.ts'
import { createRefresh, type Refresh, type RefreshOptions } from './refresh.ts'
import { createRefreshTokens } from './refresh-tokens.ts'
import { listSessions, type Session } from './session-repository.ts'

export type { LogoutScope } from './logout.ts'
export type { Session } from './session-repository.ts'

export interface SessionsOptions extends Omit<LoginOptions & RefreshOptions, 'refreshTokens'> {
  database: Database
  /** At least 32 bytes that cannot be guessed, the same for all replicas. Refresh tokens are derived with it. */
  secret: string
}

/** Opens, refreshes, ends and lists sessions. */
export interface Sessions {
  login: Login
  refresh: Refresh
  logOut: LogOut
  logout: Logout
  /** Returns the sessions of a user, newest first: the live ones, or the last 100 that have ended or expired. */
  list (userId: string, state: 'live' | 'over'): Promise<Session[]>
}

/** The most sessions in a list: the largest value of MAX_SESSIONS, so that no live session is missing. */
const maxListed = { live: 1_000, over: 100 }

export function createSessions ({ secret, ...options }: SessionsOptions): Sessions {
  const withTokens = { ...options, refreshTokens: createRefreshTokens(secret) }
  const logout = createLogout(withTokens)
  return {
    login: createLogin(withTokens),
    refresh: createRefresh(withTokens),
    logOut: createLogOut(logout),
    logout,
    list: (userId, state) => options.database.run(db => listSessions(db, userId, state, maxListed[state]))
  }
}
