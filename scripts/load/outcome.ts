import type { Report, RevocationFigures } from './report.ts'

/** What the checks have shown: that a logout is one, that it is none, or nothing for certain. */
export type Showing = 'good' | 'bad' | 'open'

export function showingOf ({ violationCount, logouts, refusedEverywhere }: RevocationFigures): Showing {
  if (violationCount > 0) return 'bad'
  return logouts > 0 && refusedEverywhere === logouts ? 'good' : 'open'
}

/** What the exit codes mean, for people. */
export const exitCodes = [
  [0, 'Done: no token was accepted after its logout, and at least one logout was seen to be refused everywhere.'],
  [1, 'A token was accepted after its logout. Nothing else exits with 1.'],
  [
    2,
    'Nothing was shown: the command line is wrong, a target or the folder of the reports cannot be used, every request failed, no logout was answered 200, none was seen to be refused everywhere, or something unexpected went wrong.'
  ]
] as const

/** How the process ends. 1 is for a token that was accepted, and for nothing else. */
export interface Outcome {
  exitCode: 0 | 1 | 2
  /** Why it is 2, in a sentence. */
  reason?: string
}

export function outcomeOf ({ totals, revocation: { violationCount, logouts, refusedEverywhere } }: Report): Outcome {
  if (violationCount > 0) return { exitCode: 1 }
  if (totals.failed >= totals.requests) {
    return { exitCode: 2, reason: 'Every request was refused or not answered: the report says how.' }
  }
  if (logouts === 0) {
    return {
      exitCode: 2, reason: 'No logout was checked, since none was answered 200: that logouts are refused was not shown.'
    }
  }
  if (refusedEverywhere === 0) {
    return {
      exitCode: 2,
      reason:
        `None of the ${logouts} logouts was seen to be refused everywhere: that logouts are refused was not shown, and the answers say why.`
    }
  }
  return { exitCode: 0 }
}
