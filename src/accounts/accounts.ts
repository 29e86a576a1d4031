import { networkOf, type Requester } from '../input/requester.ts'
import { SignoutError } from '../errors.ts'
import { createAccountDeletion, type AccountDeletionOptions, type DeleteOwnAccount } from './account-deletion.ts'
import { acceptNewPassword } from '../users/credentials.ts'
import { createReauthentication, type Reauthenticate } from './reauthentication.ts'
import { createPasswordChange, type ChangePassword, type PasswordChangeOptions } from './password-change.ts'
import { requireRole } from '../roles/role-repository.ts'
import { insertUser, type User, type UserRepository } from '../users/user-repository.ts'

export type AccountsOptions = {
  users: UserRepository
  /** False if only operators create accounts. */
  isRegistrationOpen: boolean
} & PasswordChangeOptions & AccountDeletionOptions

/** The operations of users on their own accounts. */
export interface Accounts {
  /** Throws `registration_closed` if only operators create accounts. */
  requireOpenRegistration (): void
  /**
   * Creates a user, also while registration is closed. Rejects with `invalid_request` for an unacceptable password, and
   * with `username_taken`. Rejects with `invalid_request` for a role that does not exist.
   */
  register (username: string, password: string, requester: Requester, role?: string): Promise<User>
  /** Returns the user of a verified token. Rejects with `invalid_token` if the user no longer exists. */
  get (id: string): Promise<User>
  changePassword: ChangePassword
  reauthenticate: Reauthenticate
  delete: DeleteOwnAccount
}

export function createAccounts (options: AccountsOptions): Accounts {
  const { users, passwords, denylist, perform, passwordMinLength, isRegistrationOpen } = options

  return {
    requireOpenRegistration () {
      if (!isRegistrationOpen) throw new SignoutError('registration_closed')
    },
    async register (username, password, requester, role = 'user') {
      const accepted = acceptNewPassword(password, passwordMinLength)
      await denylist.refuse(accepted, username)
      const passwordHash = await passwords.hash(accepted, networkOf(requester.ip))
      return await perform(async unit => {
        if (role !== 'user') await requireRole(unit.db, role)
        const user = await insertUser(unit.db, { username, passwordHash, role })
        if (user === undefined) throw new SignoutError('username_taken')
        unit.record({ type: 'registered', userId: user.id, requester, details: { role } })
        return user
      })
    },
    async get (id) {
      const user = await users.findById(id)
      if (user === undefined) throw new SignoutError('invalid_token')
      return user
    },
    changePassword: createPasswordChange(options),
    reauthenticate: createReauthentication(options),
    delete: createAccountDeletion(options)
  }
}
