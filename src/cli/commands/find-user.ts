import { isUsername } from '../../users/credentials.ts'
import { createUserRepository, type User } from '../../users/user-repository.ts'
import { parseUuid } from '../../input/uuid.ts'
import { CommandError } from '../failure.ts'
import type { App } from '../open-app.ts'

/**
 * Returns the user with this id or username, or undefined. The case of a username does not matter. A username may have
 * the form of an id. Rejects if two users match, so that a command never acts on the wrong one.
 */
export async function findUser (app: App, text: string): Promise<User | undefined> {
  const users = createUserRepository(app.database)
  const id = parseUuid(text)
  const withId = id === undefined ? undefined : await users.findById(id)
  const named = isUsername(text) ? await users.findByUsername(text) : undefined
  if (withId !== undefined && named !== undefined && withId.id !== named.id) {
    throw new CommandError(
      `${text} is the id of ${withId.username}, and the username of the user with the id ${named.id}: say which, by the other name of either.`
    )
  }
  return withId ?? named
}

/** Returns the user with this id or username. Rejects with a `CommandError` if there is none. */
export async function requireUser (app: App, text: string): Promise<User> {
  const user = await findUser(app, text)
  if (user === undefined) throw new CommandError(unknownUser(text))
  return user
}

/**
 * The longest text that an error repeats. A longer one may be a token that was pasted by mistake. An id has 36
 * characters.
 */
const maxRepeatedLength = 40

/** Returns the line for a user that does not exist. */
export function unknownUser (text: string): string {
  return text.length > maxRepeatedLength ? 'There is no user with that name or id.' : `There is no user named ${text}.`
}
