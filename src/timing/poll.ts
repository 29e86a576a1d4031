/** Work that is done again and again. */
export interface Poll {
  start (): void
  stop (): void
  /** Starts the next run sooner. */
  hasten (): void
}

export interface PollOptions {
  /** The time from the start of one run to the start of the next, in milliseconds. */
  everyMs: number
  /** The pause after a run when the next one is hastened, in milliseconds. */
  hastenedMs: number
  /** The number of runs that may be under way at once, if they take longer than `everyMs`. Defaults to 1. */
  maxAtOnce?: number
}

/** Creates a poll, which does its work at a fixed rate, and sooner when it is hastened. The work must not reject. */
export function createPoll (work: () => Promise<void>, { everyMs, hastenedMs, maxAtOnce = 1 }: PollOptions): Poll {
  let timer: NodeJS.Timeout | undefined
  let begunAt = -Infinity
  let doneAt = -Infinity
  let underWay = 0
  let isRunning = false
  let isHastened = false

  function schedule (): void {
    clearTimeout(timer)
    if (!isRunning || underWay >= maxAtOnce) return
    // A hastened run waits until no run is under way.
    const dueAt = isHastened && underWay === 0 ? doneAt + hastenedMs : begunAt + everyMs
    timer = setTimeout(begin, Math.max(0, dueAt - performance.now())).unref()
  }

  function begin (): void {
    underWay++
    isHastened = false
    begunAt = performance.now()
    work().finally(() => {
      underWay--
      doneAt = performance.now()
      schedule()
    })
    schedule()
  }

  return {
    start () {
      if (isRunning) return
      isRunning = true
      isHastened = true
      schedule()
    },
    stop () {
      isRunning = false
      clearTimeout(timer)
    },
    hasten () {
      // Every refused look-up calls this. Setting the timer again each time would postpone it for ever.
      if (isHastened) return
      isHastened = true
      if (underWay === 0) schedule()
    }
  }
}
