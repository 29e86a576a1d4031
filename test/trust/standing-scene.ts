import type { Test } from 'tap'
import { formatMarker } from '../../src/record/marker.ts'
import { createHeadPoll } from '../../src/trust/head-poll.ts'
import { createStanding, type Standing } from '../../src/trust/standing.ts'
import type { Head } from '../../src/record/record.ts'
import { endingAt } from '../support/record.ts'
import { until } from '../support/wait.ts'

export const ours = '00000000-0000-4000-8000-000000000001'
export const theirs = '00000000-0000-4000-8000-000000000002'
export const at = (position: number, recordId = ours) => formatMarker({ recordId, position })

export interface StandingScene {
  standing: Standing
  /** The end of the record in Postgres. */
  record: Head
  /** While `isDown` is true, reads of the record fail. `reads` counts the others. */
  database: { isDown: boolean, reads: number }
  clock: { now: number }
  told: string[]
  /** Returns the reason why an answer with that marker does not count; undefined if it counts. */
  ask (marker: string | null): string | undefined
  /** Resolves when the head was read, and markers are compared with it. */
  untilCompared (): Promise<void>
  /** Resolves when an answer with that marker counts. The head is read about once a second. */
  untilTrusted (marker: string): Promise<void>
}

export async function standingScene (t: Test, start: Partial<Head> = {}): Promise<StandingScene> {
  const record = { recordId: ours, position: 5, marked: 5, ...start }
  const database = { isDown: false, reads: 0 }
  const clock = { now: 1_000_000 }
  const told: string[] = []
  const heads = createHeadPoll(endingAt(async () => {
    if (database.isDown) throw new Error('The database is down.')
    database.reads++
    return { ...record }
  }))
  const standing = createStanding({
    heads,
    now: () => clock.now,
    onChanged: (trust, reason) => { told.push(trust === 'trusted' ? 'trusts' : reason ?? trust) }
  })
  t.teardown(() => { heads.stop() })
  heads.start()
  function ask (marker: string | null, look = standing.look()): string | undefined {
    try {
      return standing.accept(look, marker) === undefined ? undefined : 'It is behind the record.'
    } catch (error) {
      return (error as Error).message
    }
  }
  return {
    standing,
    record,
    database,
    clock,
    told,
    ask,
    untilCompared: () => until('it was compared', () => {
      return database.reads > 0 && ask(at(4)) !== 'The blocklist has not been compared with the record yet.'
    }),
    untilTrusted: marker => until('it trusts', () => ask(marker) === undefined)
  }
}
