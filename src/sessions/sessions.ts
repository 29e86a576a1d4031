import type { Database } from '../db/database.ts'
import { createLogin, type Login, type LoginOptions } from './login.ts'
import { createOpening, type OpeningOptions, type OpenSession } from './opening.ts'
import { createRefresh, type Refresh, type RefreshOptions } from './refresh.ts'
import { listSessions, type Session } from './session-repository.ts'

export type { Session } from './session-repository.ts'

type PartOptions = LoginOptions & RefreshOptions & OpeningOptions

export interface SessionsOptions extends Omit<PartOptions, 'openSession'> {
  database: Database
}

/** Opens, refreshes and lists sessions. */
export interface Sessions {
  login: Login
  /** Opens a session in a transaction of the caller. */
  open: OpenSession
  refresh: Refresh
  /** Returns the sessions of a user, newest first: the live ones, or the last 100 that have ended or expired. */
  list (userId: string, state: 'live' | 'over'): Promise<Session[]>
}

/** The most sessions in a list: the largest value of MAX_SESSIONS, so that no live session is missing. */
const maxListed = { live: 1_000, over: 100 }

export function createSessions (options: SessionsOptions): Sessions {
  const openSession = createOpening(options)
  return {
    login: createLogin({ ...options, openSession }),
    open: openSession,
    refresh: createRefresh(options),
    list: (userId, state) => options.database.run(db => listSessions(db, userId, state, maxListed[state]))
  }
}
