import type { Report, RevocationFigures } from './report.ts'

/** The result of the checks: every logout was effective, one was not, or nothing is certain. */
export type Showing = 'good' | 'bad' | 'open'

export function showingOf ({ violationCount, logouts, refusedEverywhere }: RevocationFigures): Showing {
  if (violationCount > 0) return 'bad'
  return logouts > 0 && refusedEverywhere === logouts ? 'good' : 'open'
}

/** The meanings of the exit codes, for people. */
export const exitCodes = [
  [0, 'No token was accepted after its logout. At least one logout was refused everywhere.'],
  [1, 'A token was accepted after its logout. Nothing else exits with 1.'],
  [
    2,
    'The run has shown nothing. The command line is wrong, or a target or the folder of the reports cannot be used. Or every request failed, no logout was answered 200, or no logout was refused everywhere. Or an unexpected error happened.'
  ]
] as const

/** The end of the process. 1 is only for a token that was accepted after its logout. */
export interface Outcome {
  exitCode: 0 | 1 | 2
  /** The reason for a 2, in a sentence. */
  reason?: string
}

export function outcomeOf ({ totals, revocation: { violationCount, logouts, refusedEverywhere } }: Report): Outcome {
  if (violationCount > 0) return { exitCode: 1 }
  if (totals.failed >= totals.requests) {
    return { exitCode: 2, reason: 'Every request was refused or not answered. The report shows the answers.' }
  }
  if (logouts === 0) {
    return {
      exitCode: 2, reason: 'No logout was checked, because no logout was answered 200. The report shows the answers.'
    }
  }
  if (refusedEverywhere === 0) {
    return {
      exitCode: 2,
      reason:
        `None of the ${logouts} logouts was seen to be refused everywhere. The report shows the answers.`
    }
  }
  return { exitCode: 0 }
}
