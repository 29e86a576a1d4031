import { CommanderError } from 'commander'
import { exitCodeOf, explainFailure } from './failure.ts'
import { createProgram } from './program.ts'
import { warn } from './terminal.ts'

/**
 * Runs a command line. Resolves with the exit code: 0 when it is done, 2 when the command line is wrong, and otherwise
 * that of the failure. Resolves with undefined while a server goes on running in this process.
 *
 * Rejects with a defect, and with any error of a server.
 */
export async function run (argv: string[]): Promise<number | undefined> {
  let isServing = false
  try {
    await createProgram({ onServing: () => { isServing = true } }).parseAsync(argv)
    return isServing ? undefined : 0
  } catch (error) {
    // Commander has printed what is wrong. Help that it prints because a command is missing is an error as well.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    const explained = explainFailure(error)
    if (isServing || explained === undefined) throw error
    for (const line of explained) warn(line)
    return exitCodeOf(error)
  }
}
