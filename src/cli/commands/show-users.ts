import { toManagedUser, toUserPage } from '../../schemas/schemas.ts'
import type { Status } from '../../users/user-repository.ts'
import { requireUser, unknownUser } from './find-user.ts'
import { orNotFound } from '../failure.ts'
import { withApp } from '../open-app.ts'
import { print, printJson, printTable, toSecond } from '../terminal.ts'

export interface ListOptions {
  search?: string
  role?: string
  status?: Status
  limit: number
  after?: string
}

/** Lists a page of users, in the order of their registration. */
export async function listUsers ({ limit, after: cursor, ...filter }: ListOptions, asJson: boolean): Promise<void> {
  await withApp(async app => {
    const page = await app.userAdministration.list({ limit, cursor }, filter)
    if (asJson) return printJson(toUserPage(page))
    if (page.items.length === 0) return print('There are no such users.')
    printTable([
      ['USERNAME', 'ID', 'ROLE', 'STATUS', 'CREATED'],
      ...page.items.map(({ username, id, role, status, createdAt }) =>
        [username, id, role, status, toSecond(createdAt)])
    ])
    if (page.nextCursor !== undefined) print(`There are more. For the next page: --after ${page.nextCursor}`)
  })
}

/** Shows a user, the number of live sessions, and the last login. */
export async function showUser (text: string, asJson: boolean): Promise<void> {
  await withApp(async app => {
    const { id } = await requireUser(app, text)
    const summary = await orNotFound(app.userAdministration.summarize(id), unknownUser(text))
    const { user: { username, role, status, createdAt }, liveSessions, lastLoginAt } = summary
    if (asJson) {
      return printJson({
        ...toManagedUser(summary.user),
        live_sessions: liveSessions,
        last_login_at: lastLoginAt?.toISOString() ?? null
      })
    }
    printTable([
      ['USERNAME', username], ['ID', id], ['ROLE', role], ['STATUS', status], ['CREATED', toSecond(createdAt)],
      ['LIVE SESSIONS', String(liveSessions)], ['LAST LOGIN', toSecond(lastLoginAt)]
    ])
  })
}
