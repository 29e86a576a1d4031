import { settings } from './read-settings.ts'
import { fileVariableOf } from './secret-files.ts'

/** Variables that only docker-compose.yml reads. They may be in the same `.env`. */
const ofCompose = ['POSTGRES_PASSWORD', 'POSTGRES_PORT', 'REDIS_PORT', 'SUBNET']

const names = settings.flatMap(([name, { secret }]) => secret === true ? [name, fileVariableOf(name)] : [name])
const known: ReadonlySet<string> = new Set([...names, ...ofCompose])

/** Shorter names have too many neighbours that belong to other programs: `PORTAL`, `POST`, `HOSTS`. */
const minLength = 8
/** The unit of a duration, with which people guess: `CLOCK_LEEWAY_SECONDS`, and `BLOCKLIST_DEADLINE` without it. */
const unit = /_(MS|SECS?|SECONDS|MINUTES|HOURS|DAYS)$/
const prefix = /^SIGNOUT_/i
/** The value of a variable that Kubernetes sets, such as `SIGNOUT_PORT` for a Service that is named signout. */
const ofKubernetes = /^(tcp|udp|sctp):\/\//

/** A variable that no program reads, and the setting that was probably meant. */
export interface UnknownVariable {
  name: string
  likely: string
}

/**
 * Finds variables that look like a misspelled setting. A name does if it differs by one letter or by two letters in
 * the wrong order, by its underscores or its case, by the unit at its end, by `_FILE`, or by `SIGNOUT_` in front.
 *
 * Variables of other programs have other names: `REDIS_HOST`, `DATABASE_NAME` and `HTTP_PROXY` do not differ so little.
 * A name that ends in a digit belongs to one of several servers of another program, because no setting does.
 */
export function findUnknownVariables (env: Record<string, string | undefined>): UnknownVariable[] {
  return Object.keys(env)
    .filter(name => !known.has(name) && !/\d$/.test(name) && !ofKubernetes.test(env[name] ?? ''))
    .flatMap(name => {
      const likely = findLikely(name)
      return likely === undefined ? [] : [{ name, likely }]
    })
}

/** Returns the line of a warning. It never has the value of the variable. */
export function describeUnknownVariable ({ name, likely }: UnknownVariable): string {
  return `${name} is not a setting, so it has no effect: did you mean ${likely}?`
}

function findLikely (name: string): string | undefined {
  const given = bare(name.replace(prefix, ''))
  // With the name of the program in front, no other program is meant.
  if (prefix.test(name)) return names.find(setting => isNear(given, bare(setting)))
  if (given.length < minLength - 1) return undefined
  const far = names.filter(setting => setting.length >= minLength)
  return far.find(setting => isNear(given, bare(setting))) ??
    far.find(setting => bare(withoutEnd(name)) === bare(withoutEnd(setting)))
}

/** Returns a name without its case and its underscores. */
function bare (name: string): string {
  return name.toUpperCase().replaceAll('_', '')
}

function withoutEnd (name: string): string {
  return name.toUpperCase().replace(/_FILE$/, '').replace(unit, '')
}

/** Returns true if two texts are equal, or become so by one letter more, less or changed, or by one swap. */
function isNear (one: string, other: string): boolean {
  const [short, long] = one.length <= other.length ? [one, other] : [other, one]
  if (long.length - short.length > 1) return false
  let start = 0
  while (start < short.length && short[start] === long[start]) start++
  const rest = (text: string, from: number) => text.slice(from)
  if (short.length < long.length) return rest(short, start) === rest(long, start + 1)
  const isSwap = short[start] === long[start + 1] && short[start + 1] === long[start]
  return rest(short, start + 1) === rest(long, start + 1) ||
    (isSwap && rest(short, start + 2) === rest(long, start + 2))
}
