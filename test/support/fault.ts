import type { Test } from 'tap'

/**
 * One fault, and what is promised of it: a row of docs/faults.md, which `npm run faults:table` makes from these, and
 * the title of the test that shows it. Each completes a sentence; plain text, so that it can be read where it stands.
 */
export interface FaultRow {
  fault: string
  /** Which promises it is about, where it is one of them alone: `P2`. */
  promise?: string
  /** What requests get while it lasts. */
  get: string
  /** How fast. */
  within: string
  /** What must never happen. */
  never: string
  /** How it recovers. */
  recovers: string
}

/** Shows that what a row says is so. */
export function testFault (
  t: Test, row: FaultRow, test: (t: Test) => Promise<unknown>, options: { skip?: boolean | string } = {}
): Promise<unknown> {
  return t.test(titleOf(row), options, test)
}

export function titleOf ({ fault, promise, get, within, never, recovers }: FaultRow): string {
  return `${promise === undefined ? '' : `${promise}: `}${fault}: ${get}; ${within}; never ${never}; recovers: ` +
    `${recovers}`
}
