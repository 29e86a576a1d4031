import type { Report, RevocationFigures } from './report.ts'

/** What the checks have shown: that a logout is one, that it is none, or nothing for certain. */
export type Showing = 'good' | 'bad' | 'open'

export function showingOf ({ violationCount, logouts, refusedEverywhere }: RevocationFigures): Showing {
  if (violationCount > 0) return 'bad'
  return logouts > 0 && refusedEverywhere === logouts ? 'good' : 'open'
}

/** How the process ends. 1 is for a token that was accepted, and for nothing else. */
export interface Outcome {
  exitCode: 0 | 1 | 2
  /** Why it is 2, in a sentence. */
  reason?: string
}

export function outcomeOf ({ totals, revocation: { violationCount, logouts, refusedEverywhere } }: Report): Outcome {
  if (violationCount > 0) return { exitCode: 1 }
  if (totals.failed >= totals.requests) return { exitCode: 2, reason: 'Every request was refused or not answered: the report says how.' }
  if (logouts === 0) return { exitCode: 2, reason: 'No logout was checked, since none was answered 200: that logouts are refused was not shown.' }
  if (refusedEverywhere === 0) return { exitCode: 2, reason: `None of the ${logouts} logouts was seen to be refused everywhere: that logouts are refused was not shown, and the answers say why.` }
  return { exitCode: 0 }
}
