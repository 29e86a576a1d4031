import { EventEmitter } from 'node:events'
import t from 'tap'
import { stopOnSignals } from '../../src/process/stop-on-signals.ts'

/** Sends signals at given times, in milliseconds. Returns what each of them does: `drain`, `close` or nothing. */
function actsOf (timeline: Array<[number, 'SIGTERM' | 'SIGINT']>, delayMs = 600_000): string[][] {
  const signals = new EventEmitter()
  let time = 0
  let acts: string[] = []
  stopOnSignals({
    drain: () => {
      acts.push('drain')
      return delayMs
    },
    close: () => { acts.push('close') },
    signals,
    now: () => time
  })
  return timeline.map(([at, signal]) => {
    acts = []
    time = at
    signals.emit(signal, signal)
    return acts
  })
}

t.test('npm sends a signal twice, which counts once; one more than a second later ends the delay', async t => {
  t.same(actsOf([[0, 'SIGTERM'], [1, 'SIGTERM'], [999, 'SIGTERM'], [2_000, 'SIGTERM']]), [['drain'], [], [], ['close']])
  t.same(actsOf([[0, 'SIGTERM'], [1_500, 'SIGINT'], [1_501, 'SIGINT']]), [['drain'], ['close'], []])
})

t.test('SIGINT closes at once, and so does SIGTERM without a delay', async t => {
  t.same(actsOf([[0, 'SIGINT'], [1, 'SIGINT']]), [['close'], []])
  t.same(actsOf([[0, 'SIGTERM'], [1, 'SIGTERM']], 0), [['drain', 'close'], []])
})
