import { CommanderError } from 'commander'
import { explainFailure } from './failure.ts'
import { createProgram } from './program.ts'
import { warn } from './terminal.ts'

/**
 * Runs a command line. Answers the exit code: 0 when it is done, 1 when it could not be done, 2 when the command line
 * was wrong; nothing while a server goes on running in this process.
 *
 * Rejects with a defect of ours alone.
 */
export async function run (argv: string[]): Promise<number | undefined> {
  let isServing = false
  try {
    await createProgram({ onServing: () => { isServing = true } }).parseAsync(argv)
    return isServing ? undefined : 0
  } catch (error) {
    // Commander has said what is wrong. Help that was not asked for, where a command is missing, is an error as well.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    const explained = explainFailure(error)
    if (isServing || explained === undefined) throw error
    for (const line of explained) warn(line)
    return 1
  }
}
