import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { packageRoot, version } from '../../src/package-root.ts'
import { asProcess, fail, signout, succeed } from '../support/cli.ts'

const commands = [
  [],
  ['serve'],
  ['migrate'],
  ['check-config'],
  ['adopt-blocklist'],
  ['user'],
  ['user', 'list'],
  ['user', 'show'],
  ['user', 'create'],
  ['user', 'promote'],
  ['user', 'demote'],
  ['user', 'set-role'],
  ['user', 'set-password'],
  ['user', 'delete'],
  ['user', 'disable'],
  ['user', 'enable'],
  ['sessions'],
  ['sessions', 'list'],
  ['role'],
  ['role', 'list'],
  ['role', 'set'],
  ['role', 'delete'],
  ['keys'],
  ['keys', 'list'],
  ['keys', 'rotate'],
  ['keys', 'retire'],
  ['keys', 'reencrypt'],
  ['client'],
  ['client', 'list'],
  ['client', 'create'],
  ['client', 'rotate'],
  ['client', 'delete'],
  ['revoke']
]
/** Commands with subcommands, and the server: they print no result. */
const withoutJson = ['', 'serve', 'user', 'sessions', 'role', 'keys', 'client']
const id = '3f0f2c9e-5b0a-4a53-9d0c-0f7f9f4a1f7e'

t.test('each command has a help text that names the exit codes, in lines of at most 100 columns', async t => {
  await Promise.all(commands.map(async command => {
    const help = await succeed(t, [...command, '--help'])
    t.equal(await succeed(t, [...command, '-h']), help)
    t.equal(/^ {2}--json {2,}print the result as JSON$/m.test(help), !withoutJson.includes(command.join(' ')), help)
    t.match(help, `Usage: ${['signout', ...command].join(' ')} [options]`)
    t.match(help, /Exit codes:\n {2}0 {2}done\n {2}1 .*\n {2}2 .*\n {2}3 {2}Postgres or Redis is unavailable\./)
    t.notOk(help.split('\n').some(line => line.length > 100), command.join(' '))
  }))
})

t.test('--version, -v and -V print the version of the package, also after the name of a command', async t => {
  t.equal(await asProcess.succeed(t, ['--version']), `${version}\n`)
  for (const command of commands) {
    for (const option of ['--version', '-v', '-V']) {
      t.equal(await succeed(t, [...command, option]), `${version}\n`, [...command, option].join(' '))
    }
  }
})

/** Wrong command lines, each with the line that is printed. */
const wrongLines: Array<[string[], string]> = [
  [['nonsense'], "unknown command 'nonsense'. See signout --help"],
  [['user', 'creat'], "unknown command 'creat' (Did you mean create?). See signout user --help"],
  [['user', 'create'], "missing required argument 'name'. See signout user create --help"],
  [
    ['user', 'create', 'a b'],
    "command-argument value 'a b' is invalid for argument 'name'. It must have 3 to 254 letters (a to z), digits or characters of \"._%+@-\". See signout user create --help"
  ],
  [
    ['user', 'delete', 'ada'],
    'delete asks on a terminal whether to go on. There is none: give --yes. See signout user delete --help'
  ],
  [
    ['user', 'list', '--limit', '0'],
    "option '--limit <number>' argument '0' is invalid. It must be a number from 1 to 1000. See signout user list --help"
  ],
  [
    ['user', 'list', '--role', 'Root'],
    "option '--role <role>' argument 'Root' is invalid. It must have up to 64 letters (a to z), digits, _ and -, and begin with a letter. See signout user list --help"
  ],
  [['serve', '--port', '1'], "unknown option '--port'. See signout serve --help"],
  [
    ['user', 'show', '-ada'],
    "unknown option '-ada'. If it is a name, write it after --. See signout user show --help"
  ],
  [
    ['migrate', 'now'],
    "too many arguments for 'migrate'. Expected 0 arguments but got 1. See signout migrate --help"
  ],
  [
    ['client', 'rotate', 'x', '--finish', '--jwk', 'a.json'],
    '--finish goes without --jwk. See signout client rotate --help'
  ],
  [
    ['client', 'delete', 'x'],
    'delete asks on a terminal whether to go on. There is none: give --yes. See signout client delete --help'
  ],
  [['sessions', 'list'], "missing required argument 'user'. See signout sessions list --help"],
  [['revoke'], 'give exactly one of --user, --session, --token and --everyone. See signout revoke --help'],
  [
    ['revoke', '--user', 'ada', '--session', id],
    'give exactly one of --user, --session, --token and --everyone. See signout revoke --help'
  ],
  [
    ['revoke', '--session', 'x'],
    '--session takes the id of a session (a UUID): signout sessions list USER shows them. See signout revoke --help'
  ],
  [
    ['revoke', '--token', 'a-refresh-token'],
    '--token takes an access token (a JWT), or its jti (a UUID). See signout revoke --help'
  ],
  [
    ['revoke', '--session', id, '--expires-at', '5'],
    '--expires-at goes with --token alone. See signout revoke --help'
  ],
  [
    ['revoke', '--user', 'ada', '--expires-at', '5'],
    '--expires-at goes with --token alone. See signout revoke --help'
  ],
  [['revoke', '--everyone'], '--everyone needs a --reason, which is recorded. See signout revoke --help'],
  [
    ['revoke', '--everyone', '--reason', 'x'],
    '--everyone asks on a terminal whether to go on. There is none: give --yes. See signout revoke --help'
  ],
  [['revoke', '--user', 'ada', '--reason', 'x'], '--reason goes with --everyone alone. See signout revoke --help'],
  [['revoke', '--user', 'ada', '--yes'], '--yes goes with --everyone alone. See signout revoke --help'],
  ...['yesterday', '2030-01-31', '2030-01-31T12:00:00', '-1', '1e3', '999999999999999'].map(
    (text): [string[], string] => [
      ['revoke', '--token', id, `--expires-at=${text}`],
      `option '--expires-at <instant>' argument '${text}' is invalid. It must be in seconds since the epoch, or an instant such as 2030-01-31T12:00:00Z. See signout revoke --help`
    ]
  )
]

t.test('a wrong command line exits with 2 and one line that names the help', async t => {
  await Promise.all(wrongLines.map(async ([args, line]) => { t.equal(await fail(t, 2, args), line) }))
  const [[args, line] = [[], '']] = wrongLines
  t.equal(await asProcess.fail(t, 2, args), line, 'as a process too')
})

t.test('a missing command prints the help as an error', async t => {
  for (const args of [[], ['user'], ['sessions']]) {
    const { code, stdout, stderr } = await signout(t, args)
    t.equal(code, 2)
    t.equal(stdout, '')
    t.match(stderr, 'Commands:')
  }
})

t.test('a password on the command line is refused, and not repeated in the error', async t => {
  for (const args of [['--password', 'hunter2'], ['--password=hunter2'], ['hunter2'], ['--admin', 'hunter2']]) {
    t.notMatch(await fail(t, 2, ['user', 'create', 'ada', ...args]), 'hunter2')
    t.notMatch(await fail(t, 2, ['user', 'set-password', 'ada', ...args]), 'hunter2')
  }
  for (const option of ['--token', '--session', '--session=']) {
    t.notMatch(
      await fail(t, 2, ['revoke', ...option.endsWith('=') ? [`${option}hunter2`] : [option, 'hunter2']]),
      'hunter2',
      option
    )
  }
})

t.test('the package declares the command signout as a file that a shell can run', async t => {
  const { bin } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { bin: Record<string, string> }
  t.same(Object.keys(bin), ['signout'])
  t.match(readFileSync(join(packageRoot, bin['signout'] ?? ''), 'utf8'), /^#!\/usr\/bin\/env node\n/)
})
