import type { Test } from 'tap'

/**
 * One fault and what is promised of it: a row of docs/faults.md, which `npm run faults:table` writes. The rows are in
 * test/faults/rows.
 *
 * Each cell is plain text of at most about 15 words, without a full stop at its end.
 */
export interface FaultRow {
  fault: string
  /** The promises that the row is about, if it is about some of them only: `P2`. */
  promise?: string
  /** The answer that requests get during the fault. The title of the test ends at the first comma or semicolon. */
  get: string
  /** The time until that answer. */
  within: string
  /** The answer or effect that must never happen. */
  never: string
  /** The way the service recovers. */
  recovers: string
}

/** Runs a test that shows what a row says. The title of the test is made from the row. */
export function testFault (
  t: Test, row: FaultRow, test: (t: Test) => Promise<unknown>, options: { skip?: boolean | string } = {}
): Promise<unknown> {
  return t.test(titleOf(row), options, test)
}

/** Returns the title of the test of a row: `P3: Redis stalls (SIGSTOP): 503 revocation_unavailable`. */
export function titleOf ({ promise, fault, get }: FaultRow): string {
  const [firstClause = ''] = get.split(/[,;]/)
  return [...promise === undefined ? [] : [promise], fault, firstClause].join(': ').replaceAll('`', '')
}
