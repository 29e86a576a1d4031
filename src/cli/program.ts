import { Command, CommanderError, Option } from 'commander'
import { escapeText } from '../input/escape-text.ts'
import { version } from '../package-root.ts'
import { addRevoke } from './revoke-options.ts'
import { addClientCommands } from './client-options.ts'
import { addRoleCommands } from './role-options.ts'
import { label } from './terminal.ts'
import { addUserCommands } from './user-options.ts'

export interface ProgramOptions {
  /** Called when the process becomes a server, before it listens. */
  onServing: () => void
}

const exitCodes = `
Exit codes:
  0  done
  1  the command failed: a setting is wrong, or nothing was found
  2  the command line is wrong
  3  Postgres or Redis is unavailable. A revocation may be recorded: the line on stderr says so`

const settings = `
Settings are read from the environment and from .env in this folder, as the server reads them.
In embedded mode (without DATABASE_URL and REDIS_URL) stop the server first: the folder DATA_DIR is
for one process at a time.`

/** The width of help without a terminal, and the largest width on one. */
const helpWidth = 100

/**
 * Creates the command line. The code of a command is loaded when it is chosen, so help needs no database driver.
 *
 * Parsing throws a `CommanderError` for help and for a wrong command line. It rejects with the errors of the command.
 */
export function createProgram ({ onServing }: ProgramOptions): Command {
  const program = new Command('signout')
    .description('Operates signout: an auth API in which logging out is real.')
    .version(version, '-v, --version', 'print the version')
    .addOption(new Option('-V', 'print the version').hideHelp())
    .on('option:V', () => {
      process.stdout.write(`${version}\n`)
      throw new CommanderError(0, 'commander.version', version)
    })
    .helpCommand('help [command]', 'print the help of a command')
    .exitOverride()
    .addHelpText('afterAll', exitCodes)

  program.command('serve')
    .description('run the server, as npm start does, until SIGTERM or Ctrl-C')
    .action(async () => {
      onServing()
      await import('../server.ts')
    })
  program.command('migrate')
    .description(
      'bring the tables of the database up to date. A start of the server does too, unless MIGRATE_ON_START is no'
    )
    .option('--dry-run', 'list the migrations that are missing, and apply none')
    .action(async ({ dryRun, json }: { dryRun?: true, json?: true }) => {
      await (await import('./commands/migrate.ts')).migrate(dryRun === true, json === true)
    })
  program.command('check-config')
    .description(
      'check all settings, print what is in effect without secrets, and ask whether Postgres and Redis can be reached; writes nothing'
    )
    .action(async ({ json }: { json?: true }) => {
      await (await import('./commands/check-config.ts')).printConfigCheck(json === true)
    })
  program.command('adopt-blocklist')
    .description(
      'take over the blocklist that another database keeps under BLOCKLIST_PREFIX, and make it from this one; stop the service of the other first'
    )
    .action(async ({ json }: { json?: true }) => {
      await (await import('./commands/adopt-blocklist.ts')).adoptBlocklist(json === true)
    })
  addUserCommands(program.command('user').description('list, show, create, change and delete users'))
  addRoleCommands(program.command('role').description('list, define and delete roles: what users may do'))
  addSessionCommands(program.command('sessions').description('show sessions'))
  addKeyCommands(program.command('keys').description('show, rotate, retire and encrypt signing keys'))
  addClientCommands(program.command('client').description('list, create, rotate and delete OAuth clients'))
  addRevoke(program)

  program.addHelpText('after', settings)
  finish(program)
  return program
}

function addSessionCommands (sessions: Command): void {
  sessions.command('list')
    .description('list the live sessions of a user, newest first')
    .argument('<user>', 'a username or an id')
    .action(async (user: string, { json }: { json?: true }) => {
      await (await import('./commands/sessions.ts')).printSessions(user, json === true)
    })
}

function addKeyCommands (keys: Command): void {
  keys.command('list')
    .description('list the signing keys, oldest first')
    .action(async ({ json }: { json?: true }) => {
      await (await import('./commands/keys.ts')).listKeys(json === true)
    })
  keys.command('rotate')
    .description('let the next key sign, which is published already; no request fails')
    .action(async ({ json }: { json?: true }) => {
      await (await import('./commands/keys.ts')).rotateKey(json === true)
    })
  keys.command('retire')
    .description('retire a key: one that signs is replaced as by rotate')
    .argument('<kid>', 'the name of the key')
    .option('--compromised', 'the key may have leaked: refuse all its tokens at once, for ever')
    .action(async (kid: string, { compromised, json }: { compromised?: true, json?: true }) => {
      await (await import('./commands/keys.ts')).retireKey(kid, compromised === true, json === true)
    })
  keys.command('reencrypt')
    .description(
      'end a change of KEY_ENCRYPTION_SECRET, once every replica has the new one: encrypt the keys under it alone'
    )
    .action(async ({ json }: { json?: true }) => {
      await (await import('./commands/keys.ts')).reencryptKeys(json === true)
    })
}

/** Applies the settings that all commands share. A server prints no result, so `serve` has no `--json`. */
function finish (command: Command): void {
  const path = pathOf(command)
  if (command.commands.length === 0 && command.name() !== 'serve') command.option('--json', 'print the result as JSON')
  command.helpOption('-h, --help', 'print this').configureOutput({
    getOutHelpWidth: () => Math.min(process.stdout.columns ?? helpWidth, helpWidth),
    getErrHelpWidth: () => Math.min(process.stderr.columns ?? helpWidth, helpWidth),
    outputError: (text, write) => {
      const isName = text.includes('unknown option') && command.registeredArguments.length > 0
      const hint = isName ? ' If it is a name, write it after --.' : ''
      write(`${label()} ${escapeText(toLine(text))}${hint} See ${path} --help\n`)
    }
  })
  for (const child of command.commands) finish(child)
}

function pathOf (command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`
}

/**
 * Returns commander's message in one line. The value of an unknown option is left out, because it may be a password.
 */
function toLine (text: string): string {
  const line = text
    .replace(/^error: /, '')
    .replace(/(unknown option '[^'=]*)=[^]*?'(?=\n|$)/, "$1'")
    .trim()
    .replaceAll(/\s*\n\s*/g, ' ')
  return line.endsWith('.') ? line : `${line}.`
}
