import { createPoll, type Poll } from '../poll.ts'
import type { MarkerJudge } from './marker-judge.ts'
import type { RevocationLog } from './revocation-log.ts'

/** Reads the head of the record again and again, and tells those who judge markers by it: one query for all of them. */
export interface HeadPoll extends Poll {
  /** What is read from now on is told to this one. */
  add (judge: MarkerJudge): void
}

const pollMs = 900
const compareAgainMs = 100
/** A record that is slow is asked no less often. More at once than a deadline of the database has room for would only make it slower. */
const maxAtOnce = 3

export function createHeadPoll (log: Pick<RevocationLog, 'readHead'>): HeadPoll {
  const judges: MarkerJudge[] = []

  async function compare (): Promise<void> {
    const asks = judges.map(judge => judge.ask())
    try {
      const head = await log.readHead()
      for (const [index, judge] of judges.entries()) {
        const ask = asks[index]
        if (ask !== undefined) judge.learn(head, ask)
      }
    } catch {
      // It says nothing new, and does not take back what was trusted.
    }
    if (judges.some(({ isWaiting }) => isWaiting)) poll.hasten()
  }

  const poll = createPoll(compare, { everyMs: pollMs, hastenedMs: compareAgainMs, maxAtOnce })
  return { ...poll, add (judge) { judges.push(judge) } }
}
