import type { ServerProcess } from '../../support/server-process.ts'
import { beginSpell, type Spell } from './operations.ts'
import type { Recorder } from './recorder.ts'

/** Records when the process of a replica is down, and when it ends although the run has not ended it. */
export interface Attendance {
  /** Call it before the run ends the process. The replica counts as down from now on. */
  leave (): void
  /** Call it before the process is asked to end. The replica counts as down when the process has ended. */
  expectEnd (): void
  /** Call it when the process listens. */
  arrive (server: ServerProcess): void
}

/** The number of lines of output that show why a process ended. */
const linesOfCrash = 30

/** Creates the attendance of a replica that is down at first. */
export function createAttendance (replica: string, { history, now }: Recorder): Attendance {
  let absence: Spell | undefined = beginSpell(history.away, replica, now())
  let isExpected = false
  return {
    expectEnd () { isExpected = true },
    leave () { absence ??= beginSpell(history.away, replica, now()) },
    arrive (server) {
      if (absence !== undefined) absence.until = now()
      absence = undefined
      isExpected = false
      server.ended.then(() => {
        if (absence !== undefined) return
        absence = beginSpell(history.away, replica, now())
        if (isExpected) return
        const said = server.output().trimEnd().split('\n').slice(-linesOfCrash).join('\n')
        history.crashes.push({ replica, at: now(), said })
      })
    }
  }
}
