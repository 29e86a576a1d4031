import { SignoutError, StartupError } from '../errors.ts'

/** The command failed. Each line says what is wrong, and the cure. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly lines: string[]
  /** The exit code of the process. */
  readonly exitCode: number

  constructor (lines: string | string[], { exitCode = 1 }: { exitCode?: number } = {}) {
    super([lines].flat().join(' '))
    this.lines = [lines].flat()
    this.exitCode = exitCode
  }
}

/** Returns the lines that explain a failure to the operator, or undefined for a defect, whose stack says more. */
export function explainFailure (error: unknown): string[] | undefined {
  if (error instanceof CommandError) return error.lines
  if (error instanceof StartupError) return [error.message]
  if (error instanceof SignoutError) return [explainRefusal(error)]
  return undefined
}

function explainRefusal ({ message, details, cause }: SignoutError): string {
  if (details !== undefined) {
    return `${details.map(({ path, message }) => `The ${path.slice(1)} ${message}`).join('; ')}.`
  }
  // Only the operator reads this line. No log has the cause.
  return cause instanceof Error ? `${message} (${cause.message})` : message
}

/** Resolves as `work` does. Rejects with a `CommandError` of this line if `work` finds nothing. */
export async function orNotFound<T> (work: Promise<T>, line: string): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw error instanceof SignoutError && error.code === 'not_found' ? new CommandError(line) : error
  }
}
