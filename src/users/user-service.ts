import { SignoutError } from '../errors.ts'
import { acceptNewPassword } from './credentials.ts'
import type { PasswordHasher } from './password-hasher.ts'
import type { User, UserRepository } from './user-repository.ts'

export interface UserServiceOptions {
  users: UserRepository
  passwords: PasswordHasher
  passwordMinLength: number
}

/** What users do about their own accounts. */
export interface UserService {
  /** Throws `invalid_request` for a password that will not do, `username_taken` when somebody has the name. */
  register (username: string, password: string): Promise<User>
  /** The user that a token speaks for. Throws `invalid_token` when there is none any more. */
  get (id: string): Promise<User>
}

export function createUserService ({ users, passwords, passwordMinLength }: UserServiceOptions): UserService {
  return {
    async register (username, password) {
      const accepted = acceptNewPassword(password, passwordMinLength)
      const user = await users.add(username, await passwords.hash(accepted))
      if (user === undefined) throw new SignoutError('username_taken')
      return user
    },
    async get (id) {
      const user = await users.findById(id)
      if (user === undefined) throw new SignoutError('invalid_token')
      return user
    }
  }
}
