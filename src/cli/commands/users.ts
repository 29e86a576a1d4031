import { toManagedUser } from '../../schemas/schemas.ts'
import type { Status, User } from '../../users/user-repository.ts'
import { parseUuid } from '../../input/uuid.ts'
import { findUser, requireUser, unknownUser } from './find-user.ts'
import { confirm } from '../confirm.ts'
import { CommandError, orNotFound } from '../failure.ts'
import { withApp, withAppToEnd, type App } from '../open-app.ts'
import { readNewPassword } from './password.ts'
import { print, printJson } from '../terminal.ts'

export async function createUser (username: string, role: string, asJson: boolean): Promise<void> {
  await withApp(async app => {
    // Asked for once the app is open: before that, the user might type it for nothing.
    const password = await readNewPassword()
    const user = await app.accounts.register(username, password, {}, role)
    if (asJson) printUser(user)
    else print(`Created the ${describeRole(role)} ${user.username} with the id ${user.id}.`)
  })
}

/** Returns the word for a user with a role. */
function describeRole (role: string): string {
  return { admin: 'administrator', user: 'user' }[role] ?? `user of the role ${role}`
}

/** Sets the status of a user. If it is set already, ended sessions are revoked again. */
export async function setUserStatus (text: string, status: Status, asJson: boolean): Promise<void> {
  const line = status === 'disabled' ? 'is disabled, and all sessions have ended' : 'is active, and can sign in'
  await withAppToEnd(async app => {
    await change(app, text, asJson, line, ({ id }) => app.userAdministration.setStatus(id, status, {}))
  })
}

/** Sets the role of a user. If it is set already, the sessions go on, and ended ones are revoked again. */
export async function setUserRole (text: string, role: string, asJson: boolean): Promise<void> {
  const is = { admin: 'is an administrator', user: 'is an ordinary user' }[role] ?? `has the role ${role}`
  await withAppToEnd(async app => {
    const before = await requireUser(app, text)
    const line = before.role === role ? `${is} already` : `${is} now, and all sessions have ended`
    await change(app, before.id, asJson, line, ({ id }) => app.userAdministration.setRole(id, role, {}))
  })
}

/** Sets the password of a user, and ends all sessions. */
export async function setUserPassword (text: string, asJson: boolean): Promise<void> {
  await withAppToEnd(async app => {
    const { id } = await requireUser(app, text)
    const password = await readNewPassword()
    const line = 'has a new password, and all sessions have ended'
    await change(app, id, asJson, line, ({ id }) => app.userAdministration.setPassword(id, password, {}))
  })
}

/** Deletes a user. Asks first, unless that is confirmed. For a deleted user, the sessions are revoked again. */
export async function deleteUser (text: string, isConfirmed: boolean, asJson: boolean): Promise<void> {
  await withAppToEnd(async app => {
    const user = await findUser(app, text)
    // The sessions of a deleted user are kept for a time, and can be revoked again.
    const id = user?.id ?? parseUuid(text)
    if (id === undefined) throw new CommandError(unknownUser(text))
    if (user !== undefined && !isConfirmed) await confirm(`Delete ${user.username} (${id}) for ever?`)
    await orNotFound(app.userAdministration.delete(id, {}), unknownUser(text))
    if (asJson) printJson({ id, username: user?.username ?? null, deleted: true })
    else if (user === undefined) print(`The user ${id} was deleted already. What had ended before was revoked again.`)
    else print(`${user.username} (${id}) is deleted, and all sessions have ended.`)
  })
}

/** Does a change of a user, and prints the user: as JSON, or by a line that begins with the name. */
async function change (
  app: App, text: string, asJson: boolean, line: string, act: (user: User) => Promise<User>
): Promise<void> {
  const changed = await orNotFound(act(await requireUser(app, text)), unknownUser(text))
  if (asJson) printUser(changed)
  else print(`${changed.username} (${changed.id}) ${line}.`)
}

function printUser (user: User): void {
  printJson(toManagedUser(user))
}
