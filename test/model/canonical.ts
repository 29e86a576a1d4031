import type { Protocol } from './protocol.ts'
import { emptyRedis, encode, idleProjector, projectorPhases, type Redis, type State, type Projector } from './state.ts'

/**
 * Returns one string for all states that differ only in what does not matter:
 *
 * - the entry of a logout that was rolled back or lost;
 * - the names of drafts, except where Redis, or an earlier Redis that may come back, holds the draft of a projector;
 * - a projector that will be refused, which may start over now;
 * - the order of the projectors.
 */
export function canonicalKey (state: State, protocol: Protocol): string {
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
  return a !== undefined && b !== undefined && order(a, b) > 0 ? { ...named, projectors: [b, a] } : named
}

const weigh = (projector: Projector) =>
  projector.token +
  16 *
    (projector.position +
      16 * (projector.head + 16 * (projector.recordId + 16 * projectorPhases.indexOf(projector.phase))))
const order = (a: Projector, b: Projector) => weigh(b) - weigh(a)

const somebody = 9

function renamed (state: State, protocol: Protocol): State {
  const saved = state.redisFaultsLeft > 0 ? state.saved : emptyRedis
  const names = [state.redis.marker.draft, saved.marker.draft]
  const nameOf = (token: number) => names.indexOf(token) + 1
  const projectors = state.projectors.map(projector => {
    if (!protocol.checks) return projector.token === 0 ? projector : { ...projector, token: 1 }
    if (projector.token === 0) return projector
    const token = nameOf(projector.token)
    return token > 0 ? { ...projector, token } : idleProjector
  })
  const gone = state.logouts.reduce((bits, { phase }, index) => phase === 'gone' ? bits | 1 << index : bits, 0)
  const held = (whole: Redis): Redis => {
    const redis = (whole.entries & gone) === 0 ? whole : { ...whole, entries: whole.entries & ~gone }
    const token = redis.marker.draft
    if (token === 0) return redis
    const name =
      protocol.checks && projectors.some(projector => projector.token === nameOf(token)) ? nameOf(token) : somebody
    return { ...redis, marker: { ...redis.marker, draft: name } }
  }
  return { ...state, redis: held(state.redis), saved: held(saved), projectors }
}
