import type { Command } from 'commander'
import { parseRole } from './arguments.ts'
import type { ChangeSettings } from './commands/roles.ts'

interface ChangeOptions { dryRun?: true, yes?: true, json?: true }

const endsSessions = 'Asks on a terminal whether to go on, if sessions would end'

/** Adds the commands that list, define and delete roles. */
export function addRoleCommands (role: Command): void {
  role.command('list')
    .description('list the roles, their scopes, and the number of their users')
    .action(async ({ json }: { json?: true }) => {
      await (await import('./commands/roles.ts')).printRoles(json === true)
    })
  role.command('set')
    .description(
      `define a role, or give a role other scopes, which replace those before; ends the sessions of its users. ${endsSessions}`
    )
    .argument('<name>', 'the name of the role', parseRole)
    .argument('<scopes...>', 'what the role may do, such as articles:read articles:write')
    .option('--dry-run', 'say what would change and end, and do nothing')
    .option('--yes', 'do not ask')
    .action(async (name: string, scopes: string[], options: ChangeOptions) => {
      await (await import('./commands/roles.ts')).setRole(name, scopes, toSettings(options))
    })
  role.command('delete')
    .description(`delete a role; its users get the role user, and their sessions end. ${endsSessions}`)
    .argument('<name>', 'the name of the role', parseRole)
    .option('--dry-run', 'say what would change and end, and do nothing')
    .option('--yes', 'do not ask')
    .action(async (name: string, options: ChangeOptions) => {
      await (await import('./commands/roles.ts')).deleteRole(name, toSettings(options))
    })
}

function toSettings ({ dryRun, yes, json }: ChangeOptions): ChangeSettings {
  return { isDryRun: dryRun === true, isConfirmed: yes === true, asJson: json === true }
}
