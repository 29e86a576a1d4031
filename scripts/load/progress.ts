import { SingleBar } from 'cli-progress'

/** Returns the shortest time between two plain lines: a dozen in a run, and one a minute in a long one. */
const lineEveryMs = (totalSeconds: number) => Math.min(60_000, Math.max(1_000, totalSeconds * 1000 / 12))
const barEveryMs = 200

/** Shows the progress to the user: as a bar in a terminal, otherwise in lines. */
export interface Progress {
  /** Prints a line that stays. */
  say (line: string): void
  /**
   * Shows the progress of a step until the step ends.
   *
   * @param describe returns the text beside it; called anew each time
   */
  begin (title: string, total: number, unit: string, describe?: () => string): Step
}

export interface Step {
  update (done: number): void
  end (): void
}

export function createProgress (stream: NodeJS.WriteStream): Progress {
  let bar: SingleBar | undefined

  function say (line: string): void {
    // The bar is drawn again below the line.
    stream.write(bar === undefined ? `${line}\n` : `\r\u001b[K${line}\n`)
  }

  return {
    say,
    begin (title, total, unit, describe = () => '') {
      if (!stream.isTTY) return beginLines(say, title, total, unit, describe)
      const drawn = new SingleBar({
        stream,
        format: `${title} {bar} {value}/{total} ${unit}{note}`,
        barsize: 24,
        fps: 1000 / barEveryMs,
        clearOnComplete: false,
        hideCursor: true,
        barCompleteChar: '█',
        barIncompleteChar: '░',
        gracefulExit: false
      })
      drawn.start(total, 0, { note: '' })
      bar = drawn
      return {
        update: done => { drawn.update(Math.min(total, done), { note: noteOf(describe()) }) },
        end () {
          drawn.stop()
          bar = undefined
        }
      }
    }
  }
}

function beginLines (
  say: (line: string) => void, title: string, total: number, unit: string, describe: () => string
): Step {
  const line = (done: number) => { say(`${title} ${Math.min(total, done)}/${total} ${unit}${noteOf(describe())}`) }
  let saidAt = performance.now()
  let last = { done: -1, isSaid: false }
  return {
    update (done) {
      last = { done, isSaid: performance.now() - saidAt >= lineEveryMs(total) }
      if (!last.isSaid) return
      saidAt = performance.now()
      line(done)
    },
    end () { if (!last.isSaid && last.done >= 0) line(last.done) }
  }
}

function noteOf (description: string): string {
  return description === '' ? '' : `  ${description}`
}
