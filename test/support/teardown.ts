import type { Test } from 'tap'

/** Whatever things belong to that are opened for a while: a test, or a run outside of one. */
export type Owner = Pick<Test, 'teardown'>

/** An owner that is no test. What was opened last is closed first, as in a test. */
export function createOwner (): Owner & { close (): Promise<void> } {
  const closings: Array<() => unknown> = []
  return {
    teardown (close) { closings.push(close) },
    async close () {
      for (let close = closings.pop(); close !== undefined; close = closings.pop()) await close()
    }
  }
}
