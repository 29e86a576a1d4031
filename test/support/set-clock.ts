import { join } from 'node:path'
import { findFaketime } from '../../scripts/services/faketime.ts'
import { replaceFile } from '../../scripts/services/state.ts'
import { scratchFolder, type Env } from './app.ts'
import type { Owner } from './teardown.ts'

/**
 * The wall clock of a process that the test starts. The monotonic clock of the process, and so its timers, are not
 * changed.
 */
export interface SettableClock {
  /** The environment in which the process has this clock. */
  env: Env
  /**
   * Sets the clock of the running process: so many seconds ahead of the clock of the machine, or behind it if negative.
   */
  set (aheadSeconds: number): void
}

export function settableClock (t: Owner): SettableClock {
  const library = findFaketime()
  if (library === undefined) {
    throw new Error('This test needs libfaketime: run `npm run services`, or name its library in FAKETIME_LIBRARY.')
  }
  const file = join(scratchFolder(t), 'clock')
  function set (aheadSeconds: number): void {
    replaceFile(file, aheadSeconds < 0 ? `${aheadSeconds}` : `+${aheadSeconds}`)
  }
  set(0)
  return {
    set,
    env: {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1'
    }
  }
}
