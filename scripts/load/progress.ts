import { SingleBar } from 'cli-progress'

/** A plain line is printed this often, at most: a dozen in a run, and one a minute in a long one. */
const lineEveryMs = (totalSeconds: number) => Math.min(60_000, Math.max(1_000, totalSeconds * 1000 / 12))
const barEveryMs = 200

/** What the user sees while something is under way: a bar in a terminal, lines elsewhere. */
export interface Progress {
  /** A line of its own, which stays. */
  say (line: string): void
  /**
   * Shows how far a step is until it is ended. @param describe what is shown beside it, asked for anew each time
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
    // The bar is drawn again below it.
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
