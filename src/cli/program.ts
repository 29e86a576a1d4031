import { Command } from 'commander'
import { escapeText } from '../input/escape-text.ts'
import { version } from '../package-root.ts'
import { parseUsername } from './arguments.ts'
import { addRevoke } from './revoke-options.ts'
import { label } from './terminal.ts'

export interface ProgramOptions {
  /** Called when the process becomes a server, before it listens. */
  onServing: () => void
}

const exitCodes = `
Exit codes:
  0  done
  1  the command failed: a setting is wrong, nothing was found, or a server is unavailable
  2  the command line is wrong
  3  keys retire --compromised: it is recorded, and takes effect when Redis returns`

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
    .version(version, '--version', 'print the version')
    .helpOption('--help', 'print this')
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
    .description('bring the tables of the database up to date, which every start of the server does too')
    .action(async () => { await (await import('./commands/migrate.ts')).migrate() })
  program.command('check-config')
    .description(
      'check all settings, print what is in effect without secrets, and ask whether Postgres and Redis can be reached; writes nothing'
    )
    .action(async () => { await (await import('./commands/check-config.ts')).printConfigCheck() })
  program.command('adopt-blocklist')
    .description(
      'take over the blocklist that another database keeps under BLOCKLIST_PREFIX, and make it from this one; stop the service of the other first'
    )
    .action(async () => { await (await import('./commands/adopt-blocklist.ts')).adoptBlocklist() })
  addUserCommands(program.command('user').description('create, disable and enable users'))
  addSessionCommands(program.command('sessions').description('show sessions'))
  addKeyCommands(program.command('keys').description('show, rotate, retire and encrypt signing keys'))
  addRevoke(program)

  program.addHelpText('after', settings)
  finish(program)
  return program
}

function addUserCommands (user: Command): void {
  user.command('create')
    .description(
      'create a user. The password is asked for on a terminal, without showing it; otherwise it is the first line of the standard input'
    )
    .argument('<name>', 'the username', parseUsername)
    .option('--admin', 'the user may administer others')
    .action(async (name: string, { admin }: { admin?: true }) => {
      await (await import('./commands/users.ts')).createUser(name, admin === true ? 'admin' : 'user')
    })
  user.command('disable')
    .description('disable a user, and end all sessions')
    .argument('<user>', 'a username or an id')
    .action(async (user: string) => { await (await import('./commands/users.ts')).setUserStatus(user, 'disabled') })
  user.command('enable')
    .description('let a user who was disabled sign in again')
    .argument('<user>', 'a username or an id')
    .action(async (user: string) => { await (await import('./commands/users.ts')).setUserStatus(user, 'active') })
}

function addSessionCommands (sessions: Command): void {
  sessions.command('list')
    .description('list the live sessions of a user, newest first')
    .argument('<user>', 'a username or an id')
    .option('--json', 'as JSON')
    .action(async (user: string, { json }: { json?: true }) => {
      await (await import('./commands/sessions.ts')).printSessions(user, json === true)
    })
}

function addKeyCommands (keys: Command): void {
  keys.command('list')
    .description('list the signing keys, oldest first')
    .option('--json', 'as JSON')
    .action(async ({ json }: { json?: true }) => {
      await (await import('./commands/keys.ts')).listKeys(json === true)
    })
  keys.command('rotate')
    .description('let the next key sign, which is published already; no request fails')
    .option('--json', 'as JSON')
    .action(async ({ json }: { json?: true }) => {
      await (await import('./commands/keys.ts')).rotateKey(json === true)
    })
  keys.command('retire')
    .description('retire a key: one that signs is replaced as by rotate')
    .argument('<kid>', 'the name of the key')
    .option('--compromised', 'the key may have leaked: refuse all its tokens at once, for ever')
    .option('--json', 'as JSON')
    .action(async (kid: string, { compromised, json }: { compromised?: true, json?: true }) => {
      await (await import('./commands/keys.ts')).retireKey(kid, compromised === true, json === true)
    })
  keys.command('reencrypt')
    .description(
      'end a change of KEY_ENCRYPTION_SECRET, once every replica has the new one: encrypt the keys under it alone'
    )
    .option('--json', 'as JSON')
    .action(async ({ json }: { json?: true }) => {
      await (await import('./commands/keys.ts')).reencryptKeys(json === true)
    })
}

/** Applies the settings that all commands share. */
function finish (command: Command): void {
  const path = pathOf(command)
  command.helpOption('--help', 'print this').configureOutput({
    getOutHelpWidth: () => Math.min(process.stdout.columns ?? helpWidth, helpWidth),
    getErrHelpWidth: () => Math.min(process.stderr.columns ?? helpWidth, helpWidth),
    outputError: (text, write) => { write(`${label()} ${escapeText(toLine(text))} See ${path} --help\n`) }
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
