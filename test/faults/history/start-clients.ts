import { setTimeout as sleep } from 'node:timers/promises'
import { createDraw, pick, type Draw } from '../../support/draw.ts'
import { password, type Account } from '../../support/people.ts'
import { createClient, type Client } from './clients.ts'
import { createOperator } from './operator.ts'
import type { Recorder, Target, Tokens } from './recorder.ts'

/** The clients and an operator, until they are stopped. */
export interface Clients {
  count: number
  isOver (): boolean
  /** Does something while the operator pauses. */
  withoutOperator<T> (work: () => Promise<T>): Promise<T>
  stop (): Promise<void>
}

/** The surroundings of clients. */
export interface Surroundings {
  /** The replicas that get requests. The list may change meanwhile. */
  replicas: readonly Target[]
  addPerson (role?: 'user' | 'admin'): Promise<Account>
}

export interface ClientsOptions {
  /** The shortest pause of the operator between two acts, in milliseconds. */
  operatorPauseMs?: number
  /** If true, the operator changes the roles of users too. */
  changesRoles?: boolean
  people?: number
  /** The longest pause of a user between two acts, in milliseconds. */
  thinkMs?: number
}

/** The number of acts that one user does at the same time. */
const lanesEach = 2

/**
 * Starts the clients. Each lane draws numbers of its own, so that its acts do not depend on how fast the others are.
 */
export async function startClients (
  { replicas, addPerson }: Surroundings,
  recorder: Recorder,
  draw: Draw,
  { operatorPauseMs = 2_000, changesRoles = false, people = 4, thinkMs = 80 }: ClientsOptions = {}
): Promise<Clients> {
  const over = new AbortController()
  let admin: Tokens | undefined
  const { username } = await addPerson('admin')
  async function keepAdministrator (draw: Draw): Promise<void> {
    const { tokens } = await recorder.ask(pick(draw, replicas), {
      kind: 'sign-in', client: username, route: 'POST /login', body: { username, password }
    })
    admin = tokens ?? admin
    await sleep(operatorPauseMs)
  }
  async function repeat (seed: number, act: (draw: Draw) => Promise<void>): Promise<void> {
    const own = createDraw(seed)
    while (!over.signal.aborted) await act(own)
  }
  const clients: Client[] = []
  const accounts: Account[] = []
  const operator = createOperator({
    recorder,
    targets: replicas,
    username,
    pauseMs: operatorPauseMs,
    changesRoles,
    accounts,
    tokens: () => admin,
    onEnded: sessions => { for (const client of clients) sessions.forEach(client.forget) }
  })
  let lastAct: Promise<unknown> = Promise.resolve()
  function oneAfterAnother<T> (work: () => Promise<T>): Promise<T> {
    const done = lastAct.then(work)
    lastAct = done.catch(() => { /* The caller gets it. */ })
    return done
  }
  const lanes = [
    repeat(draw(2 ** 31), keepAdministrator),
    repeat(draw(2 ** 31), draw => oneAfterAnother(() => operator.act(draw)))
  ]
  for (let number = 0; number < people; number++) {
    const person = await addPerson()
    const client = createClient({ recorder, targets: replicas, person, administrator: () => admin })
    accounts.push(person)
    clients.push(client)
    for (let lane = 0; lane < lanesEach; lane++) {
      lanes.push(repeat(draw(2 ** 31), async draw => {
        await client.act(draw)
        await sleep(draw(thinkMs))
      }))
    }
  }
  return {
    count: people * lanesEach,
    isOver: () => over.signal.aborted,
    withoutOperator: oneAfterAnother,
    async stop () {
      over.abort()
      await Promise.all(lanes)
    }
  }
}
