import { toSessions } from '../../schemas/schemas.ts'
import type { Session } from '../../sessions/session-repository.ts'
import { requireUser, unknownUser } from './find-user.ts'
import { orNotFound } from '../failure.ts'
import { withApp } from '../open-app.ts'
import { print, printJson, printShortTable, toSecond } from '../terminal.ts'

export async function printSessions (text: string, asJson: boolean): Promise<void> {
  await withApp(async app => {
    const { id, username } = await requireUser(app, text)
    const sessions = await orNotFound(app.userAdministration.listSessions(id), unknownUser(text))
    if (asJson) printJson(toJson(sessions))
    else if (sessions.length === 0) print(`${username} (${id}) has no live sessions.`)
    else printShortTable(toRows(sessions))
  })
}

/**
 * Returns the sessions as the API shows them, without `current`: on the command line, no session is the current one.
 */
function toJson (sessions: Session[]): object[] {
  return toSessions(sessions, '').sessions.map(({ current, ...session }) => session)
}

function toRows (sessions: Session[]): string[][] {
  const rows = sessions.map(({ id, createdAt, lastUsedAt, expiresAt, ip, userAgent }) => [
    id,
    ...[createdAt, lastUsedAt, expiresAt].map(toSecond),
    ip ?? '-',
    userAgent ?? '-'
  ])
  return [['ID', 'CREATED', 'LAST USED', 'EXPIRES', 'IP', 'USER AGENT'], ...rows]
}
