import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { shareStorages } from '../support/app.ts'
import { query } from '../support/database.ts'
import { inForm } from '../support/form.ts'
import { register, signIn, type Pair } from '../support/people.ts'
import { get, outcome, refresh } from '../support/requests.ts'
import { sessionIdOf } from '../support/sessions.ts'

// The story of each interleaving: an owner and a thief who have the same refresh token, and what each does with it.
const storages = shareStorages(t, { RATE_LIMITS: 'off' })

/** An owner or a thief, with the pair that each has last got. */
interface Party {
  name: 'owner' | 'thief'
  pair: Pair
  /** False once a refresh was refused: the party is signed out. */
  isIn: boolean
}

type Act = 'refreshes' | 'loses the answer' | 'uses the access token'
const acts: Act[] = ['refreshes', 'loses the answer', 'uses the access token']

async function letTenMinutesPass (app: FastifyInstance, pair: Pair): Promise<void> {
  await app.firstUses.flush()
  const id = sessionIdOf(pair)
  await query(app, `update sessions set rotated_at = rotated_at - interval '10 minutes' where id = '${id}'`)
}

async function perform (app: FastifyInstance, party: Party, act: Act): Promise<void> {
  if (act === 'uses the access token') {
    await get(app, '/token', party.pair.access_token)
    return
  }
  const answer = await refresh(app, party.pair.refresh_token)
  if (answer.statusCode !== 200) party.isIn = false
  else if (act === 'refreshes') party.pair = answer.json()
}

/** Lets both go on: each refreshes twice, and uses what it got. Returns the names of those who still can. */
async function findSurvivors (app: FastifyInstance, parties: Party[]): Promise<string[]> {
  for (let round = 0; round < 2; round++) {
    for (const party of parties) {
      await perform(app, party, 'refreshes')
      await perform(app, party, 'uses the access token')
      await letTenMinutesPass(app, party.pair)
    }
  }
  const said = await Promise.all(parties.map(async ({ pair }) => outcome(await get(app, '/token', pair.access_token))))
  return parties.filter((_, index) => said[index] === '200').map(({ name }) => name)
}

/** Returns every sequence of so many acts of two parties. */
function sequences (length: number): Array<Array<{ who: 0 | 1, act: Act }>> {
  if (length === 0) return [[]]
  return sequences(length - 1).flatMap(before =>
    ([0, 1] as const).flatMap(who => acts.map(act => [...before, { who, act }])))
}

/** In the short form, every fifth sequence: five has no divisor in common with the number of acts. */
const stride = inForm({ short: 5, long: 1 })

t.test('whatever an owner and a thief with the same token do, at most one of them goes on', t => storages(t, async (t, app) => {
  const { username } = await register(app)
  let count = 0
  // Both begin with the same pair, so the owner may as well act first.
  const chosen = sequences(3).filter(([first]) => first?.who === 0).filter((_, index) => index % stride === 0)
  for (const sequence of chosen) {
    const shared = await signIn(app, username)
    const parties: Party[] = [
      { name: 'owner', pair: shared, isIn: true }, { name: 'thief', pair: { ...shared }, isIn: true }
    ]
    for (const { who, act } of sequence) {
      await perform(app, parties[who] as Party, act)
      await letTenMinutesPass(app, shared)
    }
    const survivors = await findSurvivors(app, parties)
    const told = sequence.map(({ who, act }) => `the ${parties[who]?.name} ${act}`).join(', ')
    if (survivors.length > 1) t.fail(`both go on: ${told}`)
    count++
  }
  t.equal(count, inForm({ short: 22, long: 108 }))
}))

t.test('an owner alone goes on, however many answers are lost', t => storages(t, async (t, app) => {
  const { username } = await register(app)
  for (const sequence of sequences(3).filter(acts => acts.every(({ who }) => who === 0))) {
    const owner: Party = { name: 'owner', pair: await signIn(app, username), isIn: true }
    for (const { act } of sequence) {
      await perform(app, owner, act)
      await letTenMinutesPass(app, owner.pair)
    }
    await perform(app, owner, 'refreshes')
    const said = outcome(await get(app, '/token', owner.pair.access_token))
    t.equal(said, '200', sequence.map(({ act }) => act).join(', '))
  }
}))
