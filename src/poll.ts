/** Something that is done again and again. */
export interface Poll {
  start (): void
  stop (): void
  /** Does it sooner. */
  hasten (): void
}

/**
 * Does something again and again, and sooner when it is told to, but never twice at once nor all the time.
 *
 * @param restMs how long it rests, in milliseconds
 * @param hastenedMs how long it rests at least, when it is told to be quick
 */
export function createPoll (work: () => Promise<void>, restMs: () => number, hastenedMs: number): Poll {
  let timer: NodeJS.Timeout | undefined
  let doneAt = -Infinity
  let isRunning = false
  let isHastened = false
  let isWorking = false

  function schedule (): void {
    clearTimeout(timer)
    if (!isRunning) return
    timer = setTimeout(() => {
      isWorking = true
      isHastened = false
      work().finally(() => {
        isWorking = false
        doneAt = performance.now()
        schedule()
      })
    }, isHastened ? Math.max(0, doneAt + hastenedMs - performance.now()) : restMs()).unref()
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
      if (!isWorking) schedule()
    }
  }
}
