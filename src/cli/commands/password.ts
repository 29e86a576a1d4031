import { createInterface, type Interface } from 'node:readline'
import { Writable } from 'node:stream'
import type { ReadStream } from 'node:tty'
import { CommandError } from '../failure.ts'

/** The longest line that is read, in bytes. It is far more than the longest password needs. */
const maxLineBytes = 65_536

/**
 * Reads a new password. On a terminal, the user types it twice, and it is not shown. Otherwise it is the first line of
 * the standard input. It is never an argument: all users of the machine can see arguments, and the shell keeps them in
 * its history.
 */
export async function readNewPassword (): Promise<string> {
  return process.stdin.isTTY ? await askTwice(process.stdin) : await readLine(process.stdin)
}

async function askTwice (terminal: ReadStream): Promise<string> {
  // Prompts go to stderr, so that the output of the command can be redirected.
  const ask = (prompt: string) => process.stderr.write(prompt)
  // In terminal mode, readline echoes what is typed. Here the echo is discarded.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => { done() } })
  const lines = createInterface({ input: terminal, output: nowhere, terminal: true, historySize: 0 })
  try {
    ask('Password: ')
    const password = await nextLine(lines)
    ask('\nThe same again: ')
    const repeated = await nextLine(lines)
    if (repeated !== password) {
      throw new CommandError('These were two different passwords, so nothing was done: try again.')
    }
    return password
  } finally {
    ask('\n')
    lines.close()
  }
}

function nextLine (lines: Interface): Promise<string> {
  return new Promise((resolve, reject) => {
    const giveUp = () => { reject(new CommandError('No password was given, so nothing was done.')) }
    lines.once('line', line => {
      lines.off('close', giveUp)
      resolve(line)
    })
    // Ctrl-C and Ctrl-D close the interface.
    lines.once('close', giveUp)
  })
}

/** Returns the first line. Does not wait for the end of the input, which its writer may keep open. */
async function readLine (input: NodeJS.ReadableStream): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of input as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (chunk.includes('\n') || size > maxLineBytes) break
  }
  const bytes = Buffer.concat(chunks)
  const end = bytes.indexOf('\n')
  const line = decode(end < 0 ? bytes : bytes.subarray(0, end)).replace(/\r$/, '')
  if (line === '') {
    throw new CommandError(
      'No password was given: type it on a terminal, or write it to the standard input, as its first line.'
    )
  }
  return line
}

function decode (bytes: Buffer): string {
  try {
    // Bytes that are not UTF-8 would become replacement characters, so different passwords could become equal.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new CommandError('The password on the standard input is not UTF-8.')
  }
}
