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

export function createHeadPoll (log: Pick<RevocationLog, 'readHead'>): HeadPoll {
  const judges: MarkerJudge[] = []

  async function compare (): Promise<void> {
    const epochs = judges.map(({ epoch }) => epoch)
    try {
      const head = await log.readHead()
      for (const [index, judge] of judges.entries()) {
        const epoch = epochs[index]
        if (epoch !== undefined) judge.learn(head, epoch)
      }
    } catch {
      // It says nothing new, and does not take back what was trusted.
      for (const judge of judges) judge.missed()
    }
  }

  const isAwaited = () => judges.some(({ isWaiting }) => isWaiting)
  return { ...createPoll(compare, () => isAwaited() ? compareAgainMs : pollMs, compareAgainMs), add (judge) { judges.push(judge) } }
}
