/**
 * A model of the rule for refreshes whose answer may be lost, for every sequence of what an owner and a thief do.
 * Tokens are numbers, in the order of their issue. A refresh token and the access token issued with it have one number.
 */
export interface RefreshState {
  live: number
  /** The token that was exchanged for the live one, or for one that the live one has superseded. */
  predecessor: number
  /** True while `REFRESH_GRACE` is not over since the live token was issued. */
  inGrace: boolean
  /** True while `REFRESH_REPEAT_MAX` is not over since the predecessor was spent. */
  isRepeatable: boolean
  /** True if the service has noted a use of the live pair. */
  isUsed: boolean
  superseded: number[]
  isOver: boolean
  next: number
  /** The last pair of the owner and of the thief. */
  held: [owner: number, thief: number]
}

export const parties = ['owner', 'thief'] as const
export type Act =
  | { who: 0 | 1, does: 'refreshes' | 'loses the answer' | 'uses the token' | 'uses the token, unnoticed' }
  | { passes: 'the grace' | 'an hour' }

/** Something of the rule that is left out, to see why it is needed. */
export type Omission = 'a pair of its own' | 'superseded is stolen' | 'used is stolen'

/** Both have stolen or got the same first pair. */
export const beginning: RefreshState = {
  live: 0,
  predecessor: -1,
  inGrace: false,
  isRepeatable: false,
  isUsed: false,
  superseded: [],
  isOver: false,
  next: 1,
  held: [0, 0]
}

const doings = ['refreshes', 'loses the answer', 'uses the token', 'uses the token, unnoticed'] as const
export const acts: Act[] = [
  ...([0, 1] as const).flatMap(who => doings.map(does => ({ who, does }))),
  { passes: 'the grace' },
  { passes: 'an hour' }
]

/** Presents a refresh token. Returns the pair that it gets, or undefined if it is refused. */
export function exchange (
  state: RefreshState, token: number, omission?: Omission
): { state: RefreshState, pair: number | undefined } {
  const issue = (change: Partial<RefreshState>) => ({
    state: { ...state, live: state.next, next: state.next + 1, inGrace: true, isUsed: false, ...change },
    pair: state.next
  })
  if (state.isOver) return { state, pair: undefined }
  if (token === state.live) return issue({ predecessor: token, isRepeatable: true })
  if (token === state.predecessor) {
    if (state.inGrace) return { state, pair: state.live }
    if (state.isRepeatable && (!state.isUsed || omission === 'used is stolen')) {
      if (omission === 'a pair of its own') return { state, pair: state.live }
      return issue({ superseded: [...state.superseded, state.live] })
    }
  }
  if (omission === 'superseded is stolen' && state.superseded.includes(token)) return { state, pair: undefined }
  return { state: { ...state, isOver: true }, pair: undefined }
}

/** Returns true if the service accepts the access token of a pair. */
export const isAccepted = (state: RefreshState, pair: number) => !state.isOver && !state.superseded.includes(pair)

/** Does one act. `pair` is what a refresh gets, received or not. */
export function step (
  state: RefreshState, act: Act, omission?: Omission
): { state: RefreshState, pair?: number | undefined } {
  if ('passes' in act) {
    return { state: { ...state, inGrace: false, isRepeatable: state.isRepeatable && act.passes === 'the grace' } }
  }
  const own = state.held[act.who]
  if (act.does === 'uses the token, unnoticed') return { state }
  if (act.does === 'uses the token') {
    return { state: own === state.live && isAccepted(state, own) ? { ...state, isUsed: true } : state }
  }
  const { state: after, pair } = exchange(state, own, omission)
  if (pair === undefined || act.does === 'loses the answer') return { state: after, pair }
  const held: RefreshState['held'] = act.who === 0 ? [pair, after.held[1]] : [after.held[0], pair]
  return { state: { ...after, held }, pair }
}

/** Lets both refresh again and again, with no use noted. Returns the number of those who still can. */
export function countSurvivors (state: RefreshState, first: 0 | 1, omission?: Omission): number {
  const order = first === 0 ? [0, 1] as const : [1, 0] as const
  const isIn = [true, true]
  for (let round = 0; round < 3; round++) {
    for (const who of order) {
      const after = step(step(state, { passes: 'the grace' }).state, { who, does: 'refreshes' }, omission)
      state = after.state
      isIn[who] = after.pair !== undefined
    }
  }
  return isIn.filter(Boolean).length
}

export const describe = (act: Act): string =>
  'passes' in act ? `${act.passes} passes` : `the ${parties[act.who]} ${act.does}`
