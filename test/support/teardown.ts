import type { Test } from 'tap'

/** The owner of things that are open for a while: a test, or a run outside of one. */
export type Owner = Pick<Test, 'teardown'>

/** Creates an owner that is no test. Things are closed in reverse order, as in a test. */
export function createOwner (): Owner & { close (): Promise<void> } {
  const closings: Array<() => unknown> = []
  return {
    teardown (close) { closings.push(close) },
    async close () {
      for (let close = closings.pop(); close !== undefined; close = closings.pop()) await close()
    }
  }
}
