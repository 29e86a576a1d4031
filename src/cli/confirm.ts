import { createInterface } from 'node:readline/promises'
import { CommandError } from './failure.ts'

/** Asks on the terminal whether to go on. Rejects with a {@link CommandError} unless the answer is `yes`. */
export async function confirm (question: string): Promise<void> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  const closed = new Promise<string>(resolve => { lines.once('close', () => { resolve('') }) })
  try {
    const answer = await Promise.race([lines.question(`${question} Type yes to go on: `), closed])
    if (answer.trim().toLowerCase() !== 'yes') throw new CommandError('Nothing was done.')
  } finally {
    lines.close()
  }
}
