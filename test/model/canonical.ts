import type { Protocol } from './protocol.ts'
import { emptyRedis, encode, idleTail, tailPhases, type Redis, type State, type Tail } from './state.ts'

/**
 * The string that stands for all states which differ in nothing that matters: the entry of a logout that is gone; the names of claims matter only as far as Redis, or an earlier
 * Redis that may come back, holds that of a tail; a tail that will be refused may as well start over now; and it does not matter which tail is which.
 */
export function canonicalKey (state: State, protocol: Protocol): string {
  return encode(canonical(state, protocol))
}

/** Whether the two tails change places in the canonical state, so that a trace can go on calling them by the same name. */
export function swapsTails (state: State, protocol: Protocol): boolean {
  const [a, b] = renamed(state, protocol).tails
  return a !== undefined && b !== undefined && order(a, b) > 0
}

function canonical (state: State, protocol: Protocol): State {
  const named = renamed(state, protocol)
  const [a, b] = named.tails
  return a !== undefined && b !== undefined && order(a, b) > 0 ? { ...named, tails: [b, a] } : named
}

const weigh = (tail: Tail) => tail.token + 16 * (tail.position + 16 * (tail.head + 16 * (tail.logId + 16 * tailPhases.indexOf(tail.phase))))
const order = (a: Tail, b: Tail) => weigh(b) - weigh(a)

const somebody = 9

function renamed (state: State, protocol: Protocol): State {
  const saved = state.redisFaultsLeft > 0 ? state.saved : emptyRedis
  const names = [state.redis.marker.claim, saved.marker.claim]
  const nameOf = (token: number) => names.indexOf(token) + 1
  const tails = state.tails.map(tail => {
    if (!protocol.checks) return tail.token === 0 ? tail : { ...tail, token: 1 }
    if (tail.token === 0) return tail
    const token = nameOf(tail.token)
    return token > 0 ? { ...tail, token } : idleTail
  })
  const gone = state.logouts.reduce((bits, { phase }, index) => phase === 'gone' ? bits | 1 << index : bits, 0)
  const held = (whole: Redis): Redis => {
    const redis = (whole.entries & gone) === 0 ? whole : { ...whole, entries: whole.entries & ~gone }
    const token = redis.marker.claim
    if (token === 0) return redis
    const name = protocol.checks && tails.some(tail => tail.token === nameOf(token)) ? nameOf(token) : somebody
    return { ...redis, marker: { ...redis.marker, claim: name } }
  }
  return { ...state, redis: held(state.redis), saved: held(saved), tails }
}
