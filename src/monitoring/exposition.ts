import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Clocks } from '../clocks/clocks.ts'
import { blocklistStates, type BlocklistStatus } from '../blocklist/status.ts'
import type { Counts, CatchUpKind } from './counts.ts'

/** A value of a metric, and the labels that tell it from the others. */
type Sample<Label extends string> = [labels: Partial<Record<Label, string>>, value: number]

interface Description<Label extends string> {
  name: `signout_${string}`
  help: string
  labelNames?: Label[]
  register: Registry
}

/** A counter, or a gauge, whose values are fetched when it is read. */
function expose<Label extends string> (
  Kind: typeof Counter | typeof Gauge,
  description: Description<Label>,
  read: () => Array<Sample<Label>>
): void {
  const { name, help, labelNames = [], register } = description
  const metric = new Kind<string>({
    name,
    help,
    labelNames,
    registers: [register],
    collect () {
      // With labels nothing is left after it, and 0 otherwise.
      metric.reset()
      // What is not known is left out: 0 would say something.
      const samples = read()
      if (samples.length === 0 && labelNames.length === 0) metric.remove()
      for (const [labels, value] of samples) metric.inc(labels, value)
    }
  })
}

/** Buckets end where the default deadline of the blocklist does, among others. */
const lookupSecondsBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]
const lookupSizeBuckets = [1, 2, 5, 10, 20, 50, 100, 200, 500]

/** Look-ups are measured as they are made: one of these for all requests of a turn of the event loop. */
export function exposeLookups (register: Registry) {
  const seconds = new Histogram({
    name: 'signout_lookup_duration_seconds',
    help: 'How long look-ups in Redis took, each for all requests of one turn of the event loop.',
    labelNames: ['result'],
    buckets: lookupSecondsBuckets,
    registers: [register]
  })
  const size = new Histogram({
    name: 'signout_lookup_batch_size',
    help: 'How many checks one look-up in Redis was for.',
    buckets: lookupSizeBuckets,
    registers: [register]
  })
  for (const result of ['answered', 'failed']) seconds.zero({ result })
  return {
    lookupSeconds: { answered: seconds.labels('answered'), failed: seconds.labels('failed') },
    lookupSize: size
  }
}

export function exposeCounts (register: Registry, counts: Counts): void {
  const { checks, breaker, catchUps, unavailable, revocations } = counts
  expose(Counter, {
    register,
    name: 'signout_checks_total',
    help: 'Checks of an access token against the blocklist, by what came of them.',
    labelNames: ['result']
  }, () => Object.entries(checks).map(([result, count]) => [{ result }, count]))
  expose(Counter, {
    register,
    name: 'signout_revocations_total',
    help: 'Tokens and sessions that were revoked here, by what was revoked and why.',
    labelNames: ['scope', 'reason']
  }, () => revocations.map(({ scope, reason, count }) => [{ scope, reason }, count]))
  expose(Counter, {
    register,
    name: 'signout_unavailable_answers_total',
    help: 'Requests that were answered 503, by cause.',
    labelNames: ['cause']
  }, () => Object.entries(unavailable).map(([cause, count]) => [{ cause }, count]))
  expose(Gauge, {
    register,
    name: 'signout_breaker_open',
    help: 'Whether look-ups are refused at once, since Redis has not been answering in time: 1 or 0.'
  }, () => [[{}, Number(breaker.isOpen)]])
  expose(Counter, {
    register,
    name: 'signout_breaker_openings_total',
    help: 'How often look-ups have begun to be refused at once, since Redis had not been answering in time.'
  }, () => [[{}, breaker.openings]])
  exposeCatchUps(register, catchUps)
}

function exposeCatchUps (register: Registry, catchUps: Counts['catchUps']): void {
  const ofCatchUps = (number: 'count' | 'entries' | 'seconds') => () =>
    Object.entries(catchUps).map(([kind, caughtUp]): Sample<'kind'> => [
      { kind: kind as CatchUpKind },
      caughtUp[number]
    ])
  expose(Counter, {
    register,
    name: 'signout_projector_runs_total',
    help: 'Runs of the projector of this replica that wrote something: rebuilds, and catching up.',
    labelNames: ['kind']
  }, ofCatchUps('count'))
  expose(Counter, {
    register,
    name: 'signout_projector_entries_total',
    help: 'Revocations that these runs have written into the blocklist.',
    labelNames: ['kind']
  }, ofCatchUps('entries'))
  expose(Counter, {
    register,
    name: 'signout_projector_seconds_total',
    help: 'How long these runs took, together.',
    labelNames: ['kind']
  }, ofCatchUps('seconds'))
}

/** @param read what was found out for this scrape */
export function exposeStatus (register: Registry, read: () => BlocklistStatus | undefined): void {
  expose(Gauge, {
    register,
    name: 'signout_blocklist_state',
    help: 'How the blocklist is, asked just now: 1 for that state, 0 for the others.',
    labelNames: ['state']
  }, () => blocklistStates.map(state => [{ state }, Number(read()?.state === state)]))
  expose(Gauge, {
    register,
    name: 'signout_blocklist_positions_behind',
    help: 'How many positions of the record the blocklist in Redis lacks. Not there in the embedded mode.'
  }, () => {
    const behind = read()?.positionsBehind
    return behind === undefined ? [] : [[{}, behind]]
  })
  expose(Gauge, {
    register,
    name: 'signout_rebuild_progress_entries',
    help: 'Revocations that the rebuild that is under way has written, whichever replica ' +
      'does it; 0 while there is none.'
  }, () => [[{}, read()?.progress?.done ?? 0]])
  expose(Gauge, {
    register,
    name: 'signout_rebuild_expected_entries',
    help: 'Revocations that the rebuild that is under way has to write; 0 while there is none.'
  }, () => [[{}, read()?.progress?.total ?? 0]])
  expose(Gauge, {
    register,
    name: 'signout_rebuild_remaining_seconds',
    help: 'How long the rebuild that is under way will take from now on, as far as one can tell; 0 while there is none.'
  }, () => [[{}, read()?.progress?.remainingSeconds ?? 0]])
}

/** @param read returns the differences as they are now */
export function exposeClocks (register: Registry, read: () => Clocks['differences']): void {
  expose(Gauge, {
    register,
    name: 'signout_clock_ahead_seconds',
    help: 'By how many seconds the clock of Redis or Postgres is ahead of that of this ' +
      'machine; behind is negative. Not there in the embedded mode.',
    labelNames: ['clock']
  }, () => read().map(({ clock, aheadSeconds }) => [{ clock }, aheadSeconds]))
}
