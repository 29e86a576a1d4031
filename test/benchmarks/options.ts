import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { ComparedVariant, Effort } from './scenes.ts'
import { algorithms, type Algorithm } from './tokens.ts'
import { variants, type VariantName } from './variants.ts'

export const parts = ['variants', 'sizes', 'lookups', 'memory', 'service', 'log', 'rebuild', 'signatures'] as const
export type Part = typeof parts[number]
export const help = `Usage: npm run bench -- [OPTIONS]

Measures what the check costs: processor time per request, of the server process and of Redis, for several ways of
checking. Needs a redis-server. The parts service, log and rebuild also need the Postgres of \`npm run services\`. The
result is printed as tables, and written to .bench/ as JSON. All parts take about 20 minutes, --quick a few minutes.

  --quick              fewer rounds, connections and entries: for a first look, not for results
  --rounds N           how often each variant is measured (default: 9, with --quick 3)
  --seconds S          how long each measurement takes (default: 1, with --quick 0.5)
  --only PARTS         only some of ${parts.join(',')}
  --connections LIST   only these numbers of connections (default: 1,10,50,200)
  --algorithms LIST    only some of ${algorithms.join(',')}
  --variants LIST      only some of ${Object.keys(variants).join(',')}
  --build NAME=FOLDER  also measure another compiled signout, to compare it with this one; may be repeated
  --write              write the tables to docs/benchmarks.md and docs/capacity.md: needs all parts, and 7 rounds or more;
                       with --only signatures, write only the table of the signatures
  --help               print this help
`

/** Thrown when the command line has a mistake. */
export class UsageError extends Error {}

export interface Plan {
  isQuick: boolean
  parts: readonly string[]
  connections: number[]
  algorithms: Algorithm[]
  compared: ComparedVariant[]
  effort: Effort
  isWritten: boolean
}

export function readPlan (): Plan | undefined {
  const { values } = parse()
  if (values.help === true) return undefined
  const isQuick = values.quick === true
  const list = (name: 'only' | 'algorithms' | 'variants', known: readonly string[]): string[] => {
    const chosen = values[name]?.split(',') ?? [...known]
    const unknown = chosen.find(each => !known.includes(each))
    if (unknown !== undefined) throw new UsageError(`--${name}: ${unknown} is none of ${known.join(', ')}.`)
    return chosen
  }
  const number = (name: string, text: string, isGood: (value: number) => boolean): number => {
    if (!isGood(Number(text))) throw new UsageError(`--${name}: ${text} is no number that it can be.`)
    return Number(text)
  }
  const isWritten = values.write === true
  const isOnlySignatures = values.only === 'signatures'
  const isCut = ['quick', 'only', 'connections', 'algorithms', 'variants'].some(name =>
    name in values && !(name === 'only' && isOnlySignatures))
  if (isWritten && (isCut || Number(values.rounds ?? 9) < 7)) {
    throw new UsageError(
      '--write: only all parts, or the signatures, in 7 rounds or more can be written. Leave out --quick, --connections, --algorithms, --variants, and --only but for --only signatures.'
    )
  }
  const isCount = (value: number) => Number.isInteger(value) && value >= 1 && value <= 1_000
  return {
    isQuick,
    parts: list('only', parts),
    connections: (values.connections ?? (isQuick ? '1,50' : '1,10,50,200'))
      .split(',')
      .map(text => number('connections', text, isCount)),
    algorithms: list('algorithms', algorithms).slice(
      0, isQuick && values.algorithms === undefined ? 1 : undefined
    ) as Algorithm[],
    compared: [
      ...list('variants', Object.keys(variants)).map(name => ({ name, variant: name as VariantName })),
      ...(values.build ?? []).map(readBuild)
    ],
    effort: {
      rounds: number('rounds', values.rounds ?? (isQuick ? '3' : '9'), isCount),
      seconds: number('seconds', values.seconds ?? (isQuick ? '0.5' : '1'), value => value > 0 && value <= 60),
      say: line => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`)
    },
    isWritten
  }
}

function parse () {
  try {
    const text = { type: 'string' } as const
    const flag = { type: 'boolean' } as const
    return parseArgs({
      options: {
        quick: flag,
        rounds: text,
        seconds: text,
        only: text,
        connections: text,
        algorithms: text,
        variants: text,
        build: { type: 'string', multiple: true },
        write: flag,
        help: flag
      }
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function readBuild (text: string): ComparedVariant {
  const [, name, folder] = /^([\w.-]+)=(.+)$/.exec(text) ?? []
  if (name === undefined || folder === undefined || name in variants) {
    throw new UsageError(`--build: ${text} is not NAME=FOLDER with a name of its own.`)
  }
  return { name, variant: 'signout', build: resolve(folder) }
}
