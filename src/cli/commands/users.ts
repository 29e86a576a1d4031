import type { Role, Status } from '../../users/user-repository.ts'
import { requireUser, unknownUser } from './find-user.ts'
import { orNotFound } from '../failure.ts'
import { withApp, withAppToEnd } from '../open-app.ts'
import { readNewPassword } from './password.ts'
import { print } from '../terminal.ts'

export async function createUser (username: string, role: Role): Promise<void> {
  await withApp(async app => {
    // Asked for once the app is open: before that, the user might type it for nothing.
    const password = await readNewPassword()
    const user = await app.accounts.register(username, password, {}, role)
    print(`Created the ${role === 'admin' ? 'administrator' : 'user'} ${user.username} with the id ${user.id}.`)
  })
}

/** Sets the status of a user. If it is set already, ended sessions are revoked again. */
export async function setUserStatus (text: string, status: Status): Promise<void> {
  const open = status === 'disabled' ? withAppToEnd : withApp
  await open(async app => {
    const { id, username } = await requireUser(app, text)
    await orNotFound(app.userAdministration.setStatus(id, status, {}), unknownUser(text))
    print(
      `${username} (${id}) is ${status === 'disabled' ? 'disabled, and all sessions have ended' : 'active, and can sign in'}.`
    )
  })
}
