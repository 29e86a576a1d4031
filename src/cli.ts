#!/usr/bin/env node
import { run } from './cli/run.ts'

/** How long a connection that does not say goodbye may keep the process, once all is done. */
const goodbyeMs = 2_000

// Whoever reads the output may stop reading, as `head` does.
process.stdout.on('error', error => { if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error })

const exitCode = await run(process.argv)
if (exitCode !== undefined) {
  process.exitCode = exitCode
  setTimeout(() => { process.exit() }, goodbyeMs).unref()
  // Left to end on its own, Node may close handles for ever (nodejs/node#47748).
  process.on('beforeExit', () => { process.exit() })
}
