import { Command, Help, InvalidArgumentError, Option } from 'commander'
import { isIP } from 'node:net'
import { exitCodes } from './outcome.ts'
import { describeProfile, profileNames, profiles, type ProfileName } from './profiles.ts'

export const bounds = { users: 10_000, durationSeconds: 86_400, ratePerSecond: 20_000, targets: 50, replicas: 10 }

export interface LoadOptions {
  /** None: the load is for replicas of its own. */
  targets: URL[]
  users: number
  durationSeconds: number
  profile: ProfileName
  /** Requests a second, in an open loop; undefined: closed loop. */
  ratePerSecond: number | undefined
  replicas: number
  outputDir: string
  ownsTarget: boolean
}

const helpWidth = 120

/** A name, and what it means, wrapped beside it. */
function item (name: string, meaning: string): string {
  const indent = 21
  const [first = '', ...rest] = new Help().boxWrap(meaning, helpWidth - indent).split('\n')
  return [`  ${name}`.padEnd(indent) + first, ...rest.map(line => ' '.repeat(indent) + line)].join('\n')
}

const explanation = `
Start the targets with RATE_LIMITS=off, on a closed network only: their limits on guessing passwords count what comes
from one address, and end a load before it begins. Replicas that are started for a run have it.

The users are made for the run, and deleted after it. Ctrl-C ends the load and reports what there is so far; pressed
again, it skips the last logouts and leaves the users that it made.

Every logout is followed at once by requests with the same token to every target. A 200 is a violation.

With --rate requests are due at a constant rate, and a latency counts from when its request was due. Without it, each
user sends the next request once the last one is answered; latencies are corrected for coordinated omission afterwards.

Profiles:
${profileNames.map(name => item(name, describeProfile(name))).join('\n')}
GET /token asks the blocklist alone, as any API does that uses the plugin; GET /me asks the database too.

Examples:
  npm run load
  npm run load -- --target http://127.0.0.1:8080 --users 200 --duration 60 --profile mixed
  npm run load -- --target http://127.0.0.1:3001 --target http://127.0.0.1:3002 --rate 500

Exit codes:
${exitCodes.map(([code, meaning]) => item(String(code), meaning)).join('\n')}`

/** Reads the command line. Throws a `CommanderError` for help, and for one that is wrong. */
export function parseOptions (args: string[]): LoadOptions {
  const command = new Command('npm run load --')
    .description(
      'Loads a running signout, and checks meanwhile that every logout is one, on every replica. Without --target it starts replicas, a Redis and a Postgres of its own, and stops them.'
    )
    .option('--target <url>', 'where it runs; once for each of several replicas', addTarget)
    .addOption(new Option('--profile <name>', 'what the users do').choices(profileNames).default('mixed'))
    .option('--users <count>', `1 to ${bounds.users}`, wholeNumber(bounds.users), 50)
    .option(
      '--duration <seconds>',
      `1 to ${bounds.durationSeconds} (default: 30, of soak 3600)`,
      wholeNumber(bounds.durationSeconds)
    )
    .option('--rate <count>', `requests a second, 1 to ${bounds.ratePerSecond}`, wholeNumber(bounds.ratePerSecond))
    .option(
      '--replicas <count>',
      `without --target: how many to start, 1 to ${bounds.replicas}`,
      wholeNumber(bounds.replicas),
      3
    )
    .option('--output <folder>', 'where the reports are written', 'load-reports')
    .option('--i-own-this-target', 'with --target: load one that is not this machine')
    .helpOption('-h, --help', 'print this')
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
  if (targets.length > bounds.targets) command.error(`error: there are at most ${bounds.targets} targets.`)
  if (given.profile === 'storm' && given.rate !== undefined) {
    command.error('error: --rate does not go with storm, where everybody comes at once.')
  }
  if (targets.length > 0 && command.getOptionValueSource('replicas') === 'cli') {
    command.error('error: --replicas goes without --target.')
  }
  if (targets.length === 0 && given.iOwnThisTarget === true) {
    command.error('error: --i-own-this-target goes with --target.')
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

/** The host of an address, as the resolver takes it: an IPv6 address has no brackets there. */
export function hostOf (url: URL): string {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return isIP(host) === 6 ? host : url.hostname
}
