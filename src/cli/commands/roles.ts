import type { RoleOutcome, RoleSummary } from '../../administration/role-administration.ts'
import { confirm } from '../confirm.ts'
import { CommandError, orNotFound } from '../failure.ts'
import { withApp, withAppToEnd, type App } from '../open-app.ts'
import { print, printJson, printTable } from '../terminal.ts'

export interface ChangeSettings {
  isDryRun: boolean
  /** True if nothing has to be asked. */
  isConfirmed: boolean
  asJson: boolean
}

/** Lists the roles, in the order of their names. */
export async function printRoles (asJson: boolean): Promise<void> {
  await withApp(async app => {
    const roles = await app.roleAdministration.list()
    if (asJson) {
      return printJson({ roles: roles.map(({ name, scope, users }) => ({ name, scopes: toList(scope), users })) })
    }
    printTable([['ROLE', 'SCOPES', 'USERS'], ...roles.map(({ name, scope, users }) => [name, scope, String(users)])])
  })
}

/** Defines a role, or gives one other scopes. Asks first if sessions would end, unless that is confirmed. */
export async function setRole (name: string, scopes: string[], settings: ChangeSettings): Promise<void> {
  await act(settings, `Give the role ${name} other scopes`, {
    preview: app => app.roleAdministration.previewSet(name, scopes),
    change: app => app.roleAdministration.set(name, scopes),
    describe: ({ scope, isChanged }) => `The role ${name} means ${scope}${isChanged ? '' : ' already'}`
  })
}

/** Deletes a role, whose users get the role `user`. Asks first if it has users, unless that is confirmed. */
export async function deleteRole (name: string, settings: ChangeSettings): Promise<void> {
  await act(settings, `Delete the role ${name}`, {
    preview: app => orNotFound(app.roleAdministration.previewDelete(name), unknownRole(name)),
    change: app => orNotFound(app.roleAdministration.delete(name), unknownRole(name)),
    describe: () => `The role ${name} is deleted`
  })
}

function unknownRole (name: string): string {
  return `There is no role ${name}. signout role list shows all.`
}

interface Act {
  preview: (app: App) => Promise<RoleOutcome>
  change: (app: App) => Promise<RoleOutcome>
  describe: (outcome: RoleOutcome) => string
}

async function act ({ isDryRun, isConfirmed, asJson }: ChangeSettings, name: string, act: Act): Promise<void> {
  await (isDryRun ? withApp : withAppToEnd)(async app => {
    const preview = isDryRun || !isConfirmed ? await act.preview(app) : undefined
    if (preview !== undefined && !isDryRun && preview.sessions > 0) {
      const { sessions, users } = preview
      if (!process.stdin.isTTY) {
        throw new CommandError(
          `${sessions} sessions of ${users} users would end. The command asks on a terminal whether to go on. There is none: give --yes.`,
          { exitCode: 2 }
        )
      }
      await confirm(`${name}, and end ${sessions} sessions of ${users} users?`)
    }
    const outcome = isDryRun ? preview as RoleOutcome : await act.change(app)
    const { scope, isChanged, users, sessions } = outcome
    const ended = `${sessions} sessions of ${users} users`
    if (asJson) {
      const role = { role: outcome.name, scopes: toList(scope) }
      printJson({ dry_run: isDryRun, ...role, changed: isChanged, users, sessions })
    } else if (isDryRun) {
      print(`Would ${isChanged ? 'change' : 'not change'} the role. Would end ${ended}.`)
    } else {
      print(`${act.describe(outcome)}. Ended ${ended}.`)
    }
  })
}

function toList (scope: RoleSummary['scope']): string[] {
  return scope.split(' ')
}
