import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Clocks } from '../clocks/clocks.ts'
import { blocklistStates, type BlocklistStatus } from '../blocklist/status.ts'
import type { Counts, CatchUpKind } from './counts.ts'

/** A value of a metric, with its labels. */
type Sample<Label extends string> = [labels: Partial<Record<Label, string>>, value: number]

interface Description<Label extends string> {
  name: `signout_${string}`
  help: string
  labelNames?: Label[]
  register: Registry
}

/** Adds a counter or a gauge, whose values are read at each scrape. */
export function expose<Label extends string> (
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
      // A reset leaves 0, or nothing if there are labels.
      metric.reset()
      // An unknown value is left out, because 0 would be a wrong statement.
      const samples = read()
      if (samples.length === 0 && labelNames.length === 0) metric.remove()
      for (const [labels, value] of samples) metric.inc(labels, value)
    }
  })
}

/** One of the buckets ends at the default deadline of the blocklist. */
const lookupSecondsBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]
const lookupSizeBuckets = [1, 2, 5, 10, 20, 50, 100, 200, 500]

/**
 * Adds the metrics of look-ups, and returns them. Each look-up is measured when it happens. One look-up serves all
 * requests of a turn of the event loop.
 */
export function exposeLookups (register: Registry) {
  const seconds = new Histogram({
    name: 'signout_lookup_duration_seconds',
    help: 'Duration of look-ups in Redis. One look-up serves all requests of one turn of the event loop.',
    labelNames: ['result'],
    buckets: lookupSecondsBuckets,
    registers: [register]
  })
  const size = new Histogram({
    name: 'signout_lookup_batch_size',
    help: 'Checks that share one look-up in Redis.',
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
    help: 'Checks of an access token against the blocklist, by result.',
    labelNames: ['result']
  }, () => Object.entries(checks).map(([result, count]) => [{ result }, count]))
  expose(Counter, {
    register,
    name: 'signout_revocations_total',
    help: 'Tokens and sessions that this replica has revoked, by scope and reason.',
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
    help: '1 while look-ups are refused at once because Redis misses its deadline, otherwise 0.'
  }, () => [[{}, Number(breaker.isOpen)]])
  expose(Counter, {
    register,
    name: 'signout_breaker_openings_total',
    help: 'How often the breaker has opened because Redis missed its deadline.'
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
    help: 'Runs of the projector of this replica that wrote revocations: rebuilds and catch-ups.',
    labelNames: ['kind']
  }, ofCatchUps('count'))
  expose(Counter, {
    register,
    name: 'signout_projector_entries_total',
    help: 'Revocations that these runs have written to the blocklist.',
    labelNames: ['kind']
  }, ofCatchUps('entries'))
  expose(Counter, {
    register,
    name: 'signout_projector_seconds_total',
    help: 'Total duration of these runs, in seconds.',
    labelNames: ['kind']
  }, ofCatchUps('seconds'))
}

/** @param read returns the status of the blocklist at this scrape */
export function exposeStatus (register: Registry, read: () => BlocklistStatus | undefined): void {
  expose(Gauge, {
    register,
    name: 'signout_blocklist_state',
    help: 'State of the blocklist at this scrape: 1 for the current state, 0 for the others.',
    labelNames: ['state']
  }, () => blocklistStates.map(state => [{ state }, Number(read()?.state === state)]))
  expose(Gauge, {
    register,
    name: 'signout_blocklist_positions_behind',
    help: 'Positions of the record that the blocklist in Redis lacks. Absent in embedded mode.'
  }, () => {
    const behind = read()?.positionsBehind
    return behind === undefined ? [] : [[{}, behind]]
  })
  expose(Gauge, {
    register,
    name: 'signout_rebuild_progress_entries',
    help: 'Revocations that the current rebuild has written, on any replica. 0 without a rebuild.'
  }, () => [[{}, read()?.progress?.done ?? 0]])
  expose(Gauge, {
    register,
    name: 'signout_rebuild_expected_entries',
    help: 'Revocations that the current rebuild must write. 0 without a rebuild.'
  }, () => [[{}, read()?.progress?.total ?? 0]])
  expose(Gauge, {
    register,
    name: 'signout_rebuild_remaining_seconds',
    help: 'Estimated remaining time of the current rebuild. 0 without a rebuild.'
  }, () => [[{}, read()?.progress?.remainingSeconds ?? 0]])
}

/** @param read returns the differences as they are now */
export function exposeClocks (register: Registry, read: () => Clocks['differences']): void {
  expose(Gauge, {
    register,
    name: 'signout_clock_ahead_seconds',
    help: 'Seconds by which the clock of Redis or Postgres is ahead of this machine. ' +
      'Negative: behind. Absent in embedded mode.',
    labelNames: ['clock']
  }, () => read().map(({ clock, aheadSeconds }) => [{ clock }, aheadSeconds]))
}
