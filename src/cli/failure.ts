import { OutageError, SignoutError, StartupError } from '../errors.ts'

/** The exit code when Postgres or Redis is unavailable: the same command may succeed later. */
export const unavailable = 3

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

/** Returns the exit code of a failure: 3 if a server is unavailable, and otherwise 1, or that of the error. */
export function exitCodeOf (error: unknown): number {
  if (error instanceof CommandError) return error.exitCode
  return isOutage(error) ? unavailable : 1
}

/** Returns true if Postgres or Redis is unavailable. A wrong setting is no outage, also if it is found only later. */
export function isOutage (error: unknown): boolean {
  if (error instanceof OutageError) return true
  if (!(error instanceof SignoutError) || error.statusCode !== 503) return false
  return !(error.cause instanceof StartupError) || isOutage(error.cause)
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
