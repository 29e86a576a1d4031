import type { Command } from 'commander'
import { parseUuid } from '../input/uuid.ts'
import { parseExpiry, parseToken } from './arguments.ts'

interface RevokeOptions {
  user?: string
  session?: string
  token?: string
  everyone?: true
  expiresAt?: number
  reason?: string
  dryRun?: true
  yes?: true
  json?: true
}

/** Adds the command `revoke` to the program. */
export function addRevoke (program: Command): void {
  program.command('revoke')
    .description(
      'end all sessions of a user, a session, or all sessions of everyone, with everything that belongs to them; or revoke one access token alone'
    )
    .option('--user <user>', 'a username or an id')
    .option('--session <sid>', 'the id of a session')
    .option('--token <token>', 'an access token, or its jti')
    .option('--everyone', 'all sessions of all users. Asks on a terminal whether to go on')
    .option(
      '--expires-at <instant>',
      'with --token: refuse it until this time, if that is later than its own expiry. Seconds since the epoch, or 2030-01-31T12:00:00Z',
      parseExpiry
    )
    .option('--reason <text>', 'with --everyone: why, in one line, which is recorded')
    .option('--dry-run', 'say what would end, and end nothing')
    .option('--yes', 'with --everyone: do not ask')
    .action(async (options: RevokeOptions, command: Command) => {
      const target = readTarget(options, command)
      const { dryRun = false, yes = false, json = false } = options
      if (target.everyone && !dryRun && !yes && !process.stdin.isTTY) {
        command.error('error: --everyone asks on a terminal whether to go on. There is none: give --yes.')
      }
      const { revoke } = await import('./commands/revoke.ts')
      await revoke(target, { isDryRun: dryRun, isConfirmed: yes, asJson: json })
    })
}

/** Returns the target that the options name. Ends the command if they name none, or several. */
function readTarget (options: RevokeOptions, command: Command) {
  const { user, session: sessionText, token: text, everyone = false, expiresAt, reason } = options
  if ([user, sessionText, text, everyone || undefined].filter(given => given !== undefined).length !== 1) {
    command.error('error: give exactly one of --user, --session, --token and --everyone.')
  }
  const session = sessionText === undefined ? undefined : parseUuid(sessionText)
  const token = text === undefined ? undefined : parseToken(text)
  // Checked here, because commander would repeat the value, which may be a refresh token.
  if (sessionText !== undefined && session === undefined) {
    command.error('error: --session takes the id of a session (a UUID): signout sessions list USER shows them.')
  }
  if (text !== undefined && token === undefined) {
    command.error('error: --token takes an access token (a JWT), or its jti (a UUID).')
  }
  if (expiresAt !== undefined && token === undefined) command.error('error: --expires-at goes with --token alone.')
  if (everyone && reason === undefined) command.error('error: --everyone needs a --reason, which is recorded.')
  if (!everyone && reason !== undefined) command.error('error: --reason goes with --everyone alone.')
  if (!everyone && options.yes === true) command.error('error: --yes goes with --everyone alone.')
  return { user, session, token, everyone, expiresAt, reason }
}
