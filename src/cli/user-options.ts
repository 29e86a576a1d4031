import { Option, type Command } from 'commander'
import { parseLimit, parseRole, parseUsername } from './arguments.ts'
import type { ListOptions } from './commands/show-users.ts'

interface Json { json?: true }

const userArgument = ['<user>', 'a username or an id'] as const
const byInput =
  'The password is asked for on a terminal, without showing it; otherwise it is the first line of the standard input'

/** Adds the commands that show and change users. */
export function addUserCommands (user: Command): void {
  addList(user)
  user.command('show')
    .description('show a user: the role, the status, the number of live sessions and the last login')
    .argument(...userArgument)
    .action(async (text: string, { json }: Json) => {
      await (await import('./commands/show-users.ts')).showUser(text, json === true)
    })
  user.command('create')
    .description(`create a user. ${byInput}`)
    .argument('<name>', 'the username', parseUsername)
    .option('--admin', 'the user may administer others: --role admin')
    .addOption(new Option('--role <role>', 'a role of signout role list').argParser(parseRole).conflicts('admin'))
    .action(async (name: string, { admin, role = 'user', json }: Json & { admin?: true, role?: string }) => {
      await (await import('./commands/users.ts')).createUser(name, admin === true ? 'admin' : role, json === true)
    })
  for (const [name, status, description] of [
    ['disable', 'disabled', 'disable a user, and end all sessions'],
    ['enable', 'active', 'let a user who was disabled sign in again']
  ] as const) {
    user.command(name).description(description).argument(...userArgument)
      .action(async (text: string, { json }: Json) => {
        await (await import('./commands/users.ts')).setUserStatus(text, status, json === true)
      })
  }
  for (const [name, role, description] of [
    ['promote', 'admin', 'let a user administer others, and end all sessions'],
    ['demote', 'user', 'make an administrator an ordinary user, and end all sessions']
  ] as const) {
    user.command(name).description(description).argument(...userArgument)
      .action(async (text: string, { json }: Json) => {
        await (await import('./commands/users.ts')).setUserRole(text, role, json === true)
      })
  }
  user.command('set-role')
    .description('give a user a role, and end all sessions')
    .argument(...userArgument)
    .argument('<role>', 'a role of signout role list', parseRole)
    .action(async (text: string, role: string, { json }: Json) => {
      await (await import('./commands/users.ts')).setUserRole(text, role, json === true)
    })
  user.command('set-password')
    .description(`set the password of a user, and end all sessions. ${byInput}`)
    .argument(...userArgument)
    .action(async (text: string, { json }: Json) => {
      await (await import('./commands/users.ts')).setUserPassword(text, json === true)
    })
  addDelete(user)
}

function addList (user: Command): void {
  user.command('list')
    .description('list the users, in the order of their registration')
    .option('--search <text>', 'only users with this text in their username')
    .option('--role <role>', 'only users with this role', parseRole)
    .addOption(new Option('--status <status>', 'only users with this status').choices(['active', 'disabled']))
    .option('--limit <number>', 'how many users, at most 1000', parseLimit, 20)
    .option('--after <cursor>', 'the users after a page, which ends with this cursor')
    .action(async ({ json, ...options }: Json & ListOptions) => {
      await (await import('./commands/show-users.ts')).listUsers(options, json === true)
    })
}

function addDelete (user: Command): void {
  user.command('delete')
    .description('delete a user, and end all sessions. Asks on a terminal whether to go on')
    .argument(...userArgument)
    .option('--yes', 'do not ask')
    .action(async (text: string, { yes = false, json }: Json & { yes?: boolean }, command: Command) => {
      if (!yes && !process.stdin.isTTY) {
        command.error('error: delete asks on a terminal whether to go on. There is none: give --yes.')
      }
      await (await import('./commands/users.ts')).deleteUser(text, yes, json === true)
    })
}
