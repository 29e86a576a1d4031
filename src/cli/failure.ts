import { SignoutError, StartupError } from '../errors.ts'

/** What was asked for cannot be done. Each line says what is wrong, and the cure. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly lines: string[]

  constructor (...lines: string[]) {
    super(lines.join(' '))
    this.lines = lines
  }
}

/** The lines that explain a failure to whoever typed the command; undefined for a defect, whose stack is worth more. */
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
  // Nobody but the operator reads it here, who has no other log to look the cause up in.
  return cause instanceof Error ? `${message} (${cause.message})` : message
}

/** Answers what `work` does; where it finds nothing, says so in words that fit. */
export async function orNotFound<T> (work: Promise<T>, line: string): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw error instanceof SignoutError && error.code === 'not_found' ? new CommandError(line) : error
  }
}
