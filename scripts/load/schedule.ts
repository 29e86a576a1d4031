import { setTimeout as sleep } from 'node:timers/promises'
import { requestMs } from './http-client.ts'
import type { Person } from './people.ts'

/** The largest number of requests that wait for a free user. Further ones count as not sent. */
const maxWaiting = 10_000

export type Act = (person: Person, dueAt: number) => Promise<void>

export interface Schedule {
  people: Person[]
  durationMs: number
  /** Ends the schedule early. */
  signal: AbortSignal
}

/** Runs a closed loop: each user sends the next request once the last one is answered. */
export async function runClosedLoop (act: Act, { people, durationMs, signal }: Schedule): Promise<void> {
  const endsAt = performance.now() + durationMs
  await Promise.all(people.map(async person => {
    while (performance.now() < endsAt && !signal.aborted) await act(person, performance.now())
  }))
}

/**
 * Runs an open loop: requests are due at a constant rate, regardless of the answers. Each is sent for a user without a
 * request under way. Without a free user it waits, and its latency still counts from when it was due.
 */
export async function runOpenLoop (
  act: Act,
  { people, durationMs, signal, ratePerSecond, onNotSent }: Schedule & { ratePerSecond: number, onNotSent: () => void }
): Promise<void> {
  const startedAt = performance.now()
  const total = Math.floor(durationMs / 1000 * ratePerSecond)
  const free = [...people]
  const waiting: number[] = []
  const underWay = new Set<Promise<void>>()
  const isOver = (graceMs = 0) => signal.aborted || performance.now() > startedAt + durationMs + graceMs

  function serve (): void {
    while (waiting.length > 0 && free.length > 0 && !isOver(requestMs)) {
      const person = free.shift() as Person
      const acting = act(person, waiting.shift() as number).finally(() => {
        free.push(person)
        underWay.delete(acting)
        serve()
      })
      underWay.add(acting)
    }
  }

  const dueAt = (index: number) => startedAt + index * 1000 / ratePerSecond
  let next = 0
  /** Queues the requests that are due by now. Returns true if all are. */
  const collectDue = () => {
    for (; next < total && dueAt(next) <= performance.now(); next++) {
      if (waiting.length < maxWaiting) waiting.push(dueAt(next))
      else onNotSent()
    }
    return next === total
  }
  for (let isAllDue = false; !isAllDue && !signal.aborted; await sleep(1)) {
    isAllDue = collectDue()
    serve()
  }
  collectDue()
  while (underWay.size > 0) await Promise.all(underWay)
  waiting.forEach(onNotSent)
}

/**
 * Runs waves. All users sign in at the same moment. Once all are in, all log out at the same moment. Then they begin
 * again.
 */
export async function runWaves (
  { signIn, logOut }: { signIn: Act, logOut: Act }, { people, durationMs, signal }: Schedule
): Promise<void> {
  const endsAt = performance.now() + durationMs
  const isOver = () => signal.aborted || performance.now() > endsAt

  /** Repeats an act until each user is done. Latencies count from when all users began, also after a refusal. */
  const together = async (act: Act, isDone: (person: Person) => boolean) => {
    const startedAt = performance.now()
    await Promise.all(
      people.map(async person => {
        while (!isDone(person) && !isOver()) await act(person, startedAt)
      })
    )
  }
  while (!isOver()) {
    await together(signIn, ({ sessions }) => sessions.length > 0)
    await together(logOut, ({ sessions }) => sessions.length === 0)
  }
}
