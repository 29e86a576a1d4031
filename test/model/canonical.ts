import type { Protocol } from './protocol.ts'
import {
  changeProjector, changeRedis, changeState, emptyRedis, encode, idleProjector, projectorPhases,
  type Redis, type State, type Projector
} from './state.ts'

/**
 * Returns the same numbers for all states that differ only in what does not matter:
 *
 * - the entry of a logout that was rolled back or lost;
 * - the names of drafts, except where Redis, or an earlier Redis that may come back, holds the draft of a projector;
 * - a projector that will be refused, which may start over now;
 * - the order of the projectors.
 *
 * The numbers are valid until the next call.
 */
export function encodeCanonical (state: State, protocol: Protocol): readonly number[] {
  return encode(canonical(state, protocol))
}

/**
 * Returns true if the two projectors change places in the canonical state. A trace uses it to keep calling them by one
 * name.
 */
export function swapsProjectors (state: State, protocol: Protocol): boolean {
  const [a, b] = renamed(state, protocol).projectors
  return a !== undefined && b !== undefined && order(a, b) > 0
}

function canonical (state: State, protocol: Protocol): State {
  const named = renamed(state, protocol)
  const [a, b] = named.projectors
  return a !== undefined && b !== undefined && order(a, b) > 0 ? changeState(named, { projectors: [b, a] }) : named
}

const weigh = (projector: Projector) =>
  projector.token +
  16 *
    (projector.position +
      16 * (projector.head + 16 * (projector.recordId + 16 * projectorPhases.indexOf(projector.phase))))
const order = (a: Projector, b: Projector) => weigh(b) - weigh(a)

const anotherDraft = 9

// A search calls these for every step, so they copy only what changes.

function renamed (state: State, protocol: Protocol): State {
  const saved = state.redisFaultsLeft > 0 ? state.saved : emptyRedis
  const names: Names = [state.redis.marker.draft, saved.marker.draft]
  const projectors = renameDrafts(state.projectors, names, protocol)
  const gone = goneEntries(state)
  const redis = renameHeld(state.redis, projectors, names, gone, protocol)
  const renamedSaved = renameHeld(saved, projectors, names, gone, protocol)
  if (redis === state.redis && renamedSaved === state.saved && projectors === state.projectors) return state
  return changeState(state, { redis, saved: renamedSaved, projectors })
}

/** The drafts in Redis and in the earlier Redis. The name of a draft is its place here, counted from 1. */
type Names = readonly [number, number]

const nameOf = (token: number, [first, second]: Names) => token === first ? 1 : token === second ? 2 : 0

function renameDrafts (projectors: readonly Projector[], names: Names, protocol: Protocol): readonly Projector[] {
  if (projectors.every(({ token }) => token === 0)) return projectors
  return projectors.map(projector => {
    if (projector.token === 0) return projector
    const token = protocol.checks ? nameOf(projector.token, names) : 1
    return token > 0 ? changeProjector(projector, { token }) : idleProjector
  })
}

/** Returns the bits of the logouts that were rolled back or lost. */
function goneEntries ({ logouts }: State): number {
  let gone = 0
  for (let index = 0; index < logouts.length; index++) if (logouts[index]?.phase === 'gone') gone |= 1 << index
  return gone
}

function renameHeld (
  redis: Redis, projectors: readonly Projector[], names: Names, gone: number, protocol: Protocol
): Redis {
  const { entries, marker } = redis
  if ((entries & gone) === 0 && marker.draft === 0) return redis
  if (marker.draft === 0) return changeRedis(redis, { entries: entries & ~gone })
  const name = nameOf(marker.draft, names)
  const draft = protocol.checks && projectors.some(({ token }) => token === name) ? name : anotherDraft
  return changeRedis(redis, {
    entries: entries & ~gone, marker: { recordId: marker.recordId, position: marker.position, draft }
  })
}
