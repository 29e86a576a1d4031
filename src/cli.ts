#!/usr/bin/env node
import { refuseOldNode } from './process/node-version.ts'

refuseOldNode()
const { run } = await import('./cli/run.ts')

/** The longest time that an open connection may keep the process after the command is done. */
const goodbyeMs = 2_000

// The reader of the output may stop reading, as `head` does.
process.stdout.on('error', error => { if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error })

const exitCode = await run(process.argv)
if (exitCode !== undefined) {
  process.exitCode = exitCode
  setTimeout(() => { process.exit() }, goodbyeMs).unref()
  // Without this, Node may close handles forever (nodejs/node#47748).
  process.on('beforeExit', () => { process.exit() })
}
