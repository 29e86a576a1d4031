import { isUsername } from '../../users/credentials.ts'
import { createUserRepository, type User } from '../../users/user-repository.ts'
import { parseUuid } from '../../input/uuid.ts'
import { CommandError } from '../failure.ts'
import type { App } from '../open-app.ts'

/**
 * The user that USER names: by id, or by username without regard to case. A username may have the form of an id;
 * somebody who took the id of another as a username must not have commands done to that other one, nor the other way
 * round.
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

/** The user that USER names. Rejects with a line when there is none. */
export async function requireUser (app: App, text: string): Promise<User> {
  const user = await findUser(app, text)
  if (user === undefined) throw new CommandError(unknownUser(text))
  return user
}

/** A longer text may be a token that was pasted by mistake, which must not be repeated. An id has 36 characters. */
const maxRepeatedLength = 40

/** Returns the line for a user that does not exist. */
export function unknownUser (text: string): string {
  return text.length > maxRepeatedLength ? 'There is no user with that name or id.' : `There is no user named ${text}.`
}
