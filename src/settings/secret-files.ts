import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import { dirname } from 'node:path'

/** The name of the variable that holds the path of a file with a secret. Every secret setting has one. */
export function fileVariableOf (name: string): string {
  return `${name}_FILE`
}

/** The largest file, in bytes. The longest secret is a list of addresses with passwords, which is far shorter. */
const maxBytes = 65_536

/**
 * Returns the text of a secret: the variable, or the content of the file that its `_FILE` variable names, without one
 * line break at the end. An empty variable counts as unset. Returns undefined if neither is set.
 *
 * Returns an empty text after a mistake, which adds a line to `mistakes`: the variable, the problem and the cure. The
 * line never has the content of the file.
 */
export function readSecret (
  name: string, env: Record<string, string | undefined>, mistakes: string[]
): string | undefined {
  const variable = fileVariableOf(name)
  const [text, path] = [env[name] || undefined, env[variable] || undefined]
  if (path === undefined) return text
  if (text !== undefined) {
    mistakes.push(`${name} and ${variable} are both set: keep one of them.`)
    return ''
  }
  const { content, problem } = readFile(path)
  if (problem !== undefined) mistakes.push(`${variable} names ${shown(path)}, ${problem}`)
  return content ?? ''
}

interface ReadFile {
  content?: string
  /** Completes the sentence "X_FILE names a file, …". */
  problem?: string
}

function readFile (path: string): ReadFile {
  try {
    const bytes = readBytes(path)
    if (bytes.length > maxBytes) {
      return { problem: `which has more than ${maxBytes} bytes: name a file that holds this secret alone.` }
    }
    // Bytes that are not UTF-8 would become replacement characters, so different secrets could become equal.
    const content = new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/\r?\n$/, '')
    return content === '' ? { problem: 'which is empty: write the secret into it.' } : { content }
  } catch (error) {
    return { problem: explain(error as NodeJS.ErrnoException) }
  }
}

function explain ({ code }: NodeJS.ErrnoException): string {
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ENAMETOOLONG': return 'which does not exist: correct the path, or create the file.'
    case 'EACCES':
    case 'EPERM': return 'which this user may not read: change its owner or its mode.'
    case 'EISDIR': return 'which is a folder: name the file in it.'
    case 'ERR_ENCODING_INVALID_ENCODED_DATA': return 'which is not UTF-8: write the secret into it as text.'
    default: return `which cannot be read (${code ?? 'unknown error'}): name a file that this user may read.`
  }
}

/** Reads at most one byte more than the limit, because a device has no end. */
function readBytes (path: string): Buffer {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.alloc(maxBytes + 1)
    let size = 0
    for (let read = -1; read !== 0 && size < bytes.length; size += read) {
      read = readSync(file, bytes, size, bytes.length - size, null)
    }
    return bytes.subarray(0, size)
  } finally {
    closeSync(file)
  }
}

/**
 * Returns a path for a message. The secret itself may have been set by mistake, so a path is repeated only if the
 * folder of the file exists. For a name without a folder that would always be so.
 */
function shown (path: string): string {
  const folder = dirname(path)
  const isPath = existsSync(path) || (folder !== '.' && folder !== '/' && existsSync(folder))
  return isPath ? JSON.stringify(path) : `a file (${path.length} characters, not shown)`
}
