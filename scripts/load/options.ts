import { Command, Help, InvalidArgumentError, Option } from 'commander'
import { isIP } from 'node:net'
import { exitCodes } from './outcome.ts'
import { describeProfile, profileNames, profiles, type ProfileName } from './profiles.ts'

export const bounds = { users: 10_000, durationSeconds: 86_400, ratePerSecond: 20_000, targets: 50, replicas: 10 }

export interface LoadOptions {
  /** Empty if the run starts its own replicas. */
  targets: URL[]
  users: number
  durationSeconds: number
  profile: ProfileName
  /** Requests a second, in an open loop. Undefined in a closed loop. */
  ratePerSecond: number | undefined
  replicas: number
  outputDir: string
  ownsTarget: boolean
}

const helpWidth = 120

/** Returns a name with its meaning, wrapped beside it. */
function item (name: string, meaning: string): string {
  const indent = 21
  const [first = '', ...rest] = new Help().boxWrap(meaning, helpWidth - indent).split('\n')
  return [`  ${name}`.padEnd(indent) + first, ...rest.map(line => ' '.repeat(indent) + line)].join('\n')
}

const explanation = `
Start the targets with RATE_LIMITS=off, on a closed network only. Otherwise their limits on guessing passwords end the
load early, because they count requests from one address. Replicas that the command starts have RATE_LIMITS=off.

The users are made for the run, and deleted after it. Ctrl-C ends the load, and the command reports the results so far.
A second Ctrl-C skips the last logouts, and leaves the users that the command made.

After each logout, the command sends the same token to every target at once. A 200 is a violation.

With --rate, requests are due at a constant rate, and latency counts from when a request was due. Without --rate, each
user sends the next request once the last one is answered. These latencies are corrected for coordinated omission.

Profiles:
${profileNames.map(name => item(name, describeProfile(name))).join('\n')}
GET /token needs only the blocklist, like any API that uses the plugin. GET /me needs the database too.

Examples:
  npm run load
  npm run load -- --target http://127.0.0.1:8080 --users 200 --duration 60 --profile mixed
  npm run load -- --target http://127.0.0.1:3001 --target http://127.0.0.1:3002 --rate 500

Exit codes:
${exitCodes.map(([code, meaning]) => item(String(code), meaning)).join('\n')}`

/** Returns the options of a command line. Throws a `CommanderError` for help, and for a wrong command line. */
export function parseOptions (args: string[]): LoadOptions {
  const command = new Command('npm run load --')
    .description(
      'Puts load on a running signout, and checks that every replica refuses the tokens of every logout. Without --target it starts replicas, a Redis and a Postgres, and stops them afterwards.'
    )
    .option('--target <url>', 'address of a replica, or of a load balancer; may be repeated', addTarget)
    .addOption(new Option('--profile <name>', 'what the users do').choices(profileNames).default('mixed'))
    .option('--users <count>', `number of users, 1 to ${bounds.users}`, wholeNumber(bounds.users), 50)
    .option(
      '--duration <seconds>',
      `how long the load lasts, 1 to ${bounds.durationSeconds} (default: 30, for soak 3600)`,
      wholeNumber(bounds.durationSeconds)
    )
    .option(
      '--rate <count>',
      `requests per second, in an open loop, 1 to ${bounds.ratePerSecond}`,
      wholeNumber(bounds.ratePerSecond)
    )
    .option(
      '--replicas <count>',
      `without --target: number of replicas to start, 1 to ${bounds.replicas}`,
      wholeNumber(bounds.replicas),
      3
    )
    .option('--output <folder>', 'folder for the reports', 'load-reports')
    .option('--i-own-this-target', 'with --target: allow a target on another machine')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', explanation)
    .configureOutput({
      getOutHelpWidth: () => helpWidth,
      outputError: (text, write) => {
        write(`load: ${text.replace(/^error: /, '').trim()} See npm run load -- --help\n`)
      }
    })
    .exitOverride()
  command.parse(args, { from: 'user' })
  return toOptions(command)
}

interface Given {
  target?: URL[]
  profile: ProfileName
  users: number
  duration?: number
  rate?: number
  replicas: number
  output: string
  iOwnThisTarget?: true
}

function toOptions (command: Command): LoadOptions {
  const given = command.opts<Given>()
  const { target: targets = [] } = given
  if (targets.length > bounds.targets) command.error(`error: --target takes at most ${bounds.targets} targets.`)
  if (given.profile === 'storm' && given.rate !== undefined) {
    command.error('error: --rate does not go with storm, because all users act at once there.')
  }
  if (targets.length > 0 && command.getOptionValueSource('replicas') === 'cli') {
    command.error('error: --replicas goes without --target: leave out one of them.')
  }
  if (targets.length === 0 && given.iOwnThisTarget === true) {
    command.error('error: --i-own-this-target goes with --target: add a --target.')
  }
  const profile: { ratePerSecond?: number, durationSeconds: number } = profiles[given.profile]
  return {
    targets,
    users: given.users,
    durationSeconds: given.duration ?? profile.durationSeconds,
    profile: given.profile,
    ratePerSecond: given.rate ?? profile.ratePerSecond,
    replicas: given.replicas,
    outputDir: given.output,
    ownsTarget: given.iOwnThisTarget === true
  }
}

function wholeNumber (maximum: number): (text: string) => number {
  return text => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN
    if (!(value >= 1 && value <= maximum)) {
      throw new InvalidArgumentError(`It must be a whole number from 1 to ${maximum}.`)
    }
    return value
  }
}

function addTarget (text: string, targets: URL[] = []): URL[] {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new InvalidArgumentError('It must be an http or https address, such as http://127.0.0.1:8080.')
  }
  if (url.username !== '' || url.password !== '') {
    throw new InvalidArgumentError('It must not hold a user or a password.')
  }
  if (targets.some(target => target.href === url.href)) throw new InvalidArgumentError('It is there twice.')
  return [...targets, url]
}

/** Returns the host of a URL as the resolver takes it: an IPv6 address without brackets. */
export function hostOf (url: URL): string {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return isIP(host) === 6 ? host : url.hostname
}
