/** Something that is done again and again. */
export interface Poll {
  start (): void
  stop (): void
  /** Does it sooner. */
  hasten (): void
}

export interface PollOptions {
  /** How long after it was begun it is begun again, in milliseconds. */
  everyMs: number
  /** How long it rests at least after it was done, when it is told to be quick. */
  hastenedMs: number
  /** How many may be under way at once, where it takes longer than that. */
  maxAtOnce?: number
}

/** Does something at a fixed rate, and sooner when it is told to, but never all the time. */
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
    // To be quick is to wait for no answer longer than needed, not to ask before it is there.
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
      // Asked for by every look-up that is refused: setting the timer anew each time would put it off for ever.
      if (isHastened) return
      isHastened = true
      if (underWay === 0) schedule()
    }
  }
}
