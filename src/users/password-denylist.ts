import { readFile } from 'node:fs/promises'
import { SignoutError, StartupError } from '../errors.ts'

/** Refuses passwords that an attacker tries first (NIST SP 800-63B-4, section 3.1.1.2). */
export interface PasswordDenylist {
  /**
   * Resolves if a new password is on no list, and is no trivial variation of a word on a list, of the username or of
   * the name of the service. Rejects with `invalid_request` otherwise. The error never says which word it was.
   *
   * @param path the JSON Pointer to the password in the request, for the error
   */
  refuse (password: string, username: string, path?: string): Promise<void>
}

export interface PasswordDenylistOptions {
  /** Names of the service, such as its host. */
  serviceNames: string[]
  /** Further words, in lower case. */
  words?: ReadonlySet<string>
}

/** Creates the denylist. The common passwords are loaded when the first new password is checked. */
export function createPasswordDenylist ({ serviceNames, words }: PasswordDenylistOptions): PasswordDenylist {
  return {
    async refuse (password, username, path = '/password') {
      common ??= loadCommonPasswords()
      const names = new Set([username, ...username.split('@'), ...serviceNames].map(fold))
      const lists = [await common, words ?? new Set<string>(), names]
      if (!isGuessable(password, word => lists.some(list => list.has(word)))) return
      const message = 'is easy to guess: it is a common password, or a variation of one or of a name'
      throw new SignoutError('invalid_request', { details: [{ path, message }] })
    }
  }
}

let common: Promise<ReadonlySet<string>> | undefined

/** Loads 49,000 common passwords of real leaks, which takes a tenth of a second. */
async function loadCommonPasswords (): Promise<ReadonlySet<string>> {
  const { dictionary } = await import('@zxcvbn-ts/language-common')
  return new Set(dictionary['passwords-common'])
}

/** The largest file of further words, in bytes. */
const maxFileBytes = 64 * 2 ** 20

/**
 * Reads PASSWORD_DENYLIST_FILE: a word in each line. Rejects with a `StartupError` if the file cannot be read or is too
 * large.
 */
export async function readDenylistFile (file: string): Promise<ReadonlySet<string>> {
  const refuse = (problem: string) => new StartupError(
    `PASSWORD_DENYLIST_FILE is ${JSON.stringify(file)}, ${problem}; it must be a text file with a word in each line.`
  )
  const bytes = await readFile(file).catch(({ code }: NodeJS.ErrnoException) => {
    throw refuse(`which cannot be read (${code})`)
  })
  if (bytes.length > maxFileBytes) throw refuse(`which has more than ${maxFileBytes / 2 ** 20} MiB`)
  return new Set(bytes.toString('utf8').split(/\r?\n/).map(fold).filter(word => word !== ''))
}

/** Returns a text without the differences of case and of typography that people do not choose as a secret. */
function fold (text: string): string {
  return text.normalize('NFKC').toLowerCase()
}

/** The letters that digits and signs stand for, in their most frequent readings. */
const readings = [
  { 0: 'o', 1: 'i', 3: 'e', 4: 'a', 5: 's', 7: 't', 8: 'b', '@': 'a', $: 's', '!': 'i', '+': 't' },
  { 0: 'o', 1: 'l', 3: 'e', 4: 'a', 5: 's', 7: 't', 9: 'g', '@': 'a', $: 's', '!': 'l', '|': 'l' }
] as Array<Record<string, string>>

/** The shortest word that makes a longer password a variation of it. */
const minWordLength = 4
/**
 * The longest word that is looked for within a password, and the longest run before it. Longer words are found if they
 * are the whole password.
 */
const maxWordLength = 32

/**
 * Returns true if a password is a listed word, forwards or backwards, with digits and signs in place of letters, once
 * or repeatedly, among runs that are no secret: `passwordpassword`, `P@ssw0rd2024!!`, `123456789012345`.
 *
 * Several different words are no variation: `correct horse battery staple` passes.
 */
export function isGuessable (password: string, isListed: (word: string) => boolean): boolean {
  const text = fold(password)
  if (isTrivial(text)) return true
  return [text, reverse(text)].some(raw =>
    [raw, ...readings.map(reading => raw.replace(/[^a-z]/g, sign => reading[sign] ?? sign))].some(read =>
      isListed(read) || firstWordsIn(raw, read).some(word => isListed(word) && isTrivialAround(word, raw, read))))
}

/** Returns the parts of a text that may be its first word: no secret stands before it. */
function firstWordsIn (raw: string, read: string): string[] {
  const words: string[] = []
  for (let start = 0; start <= Math.min(read.length - minWordLength, maxWordLength); start++) {
    if (!isTrivial(raw.slice(0, start))) continue
    const end = Math.min(read.length, start + maxWordLength)
    for (let stop = start + minWordLength; stop <= end; stop++) words.push(read.slice(start, stop))
  }
  return words
}

/** Returns true if a text has nothing but a word and trivial runs. Both forms of the text have the same length. */
function isTrivialAround (word: string, raw: string, read: string): boolean {
  let from = 0
  for (;;) {
    const at = read.indexOf(word, from)
    if (!isTrivial(raw.slice(from, at < 0 ? undefined : at))) return false
    if (at < 0) return true
    from = at + word.length
  }
}

const rows = [
  'abcdefghijklmnopqrstuvwxyz', '01234567890', '!@#$%^&*()_+',
  'qwertyuiop', 'asdfghjkl', 'zxcvbnm', 'qwertzuiop', 'azertyuiop'
]
/** Every pair of neighbours in a row, in both directions. */
const neighbours = new Set(rows.flatMap(row => [row, reverse(row)]).flatMap(row =>
  Array.from({ length: row.length - 1 }, (_, index) => row.slice(index, index + 2))))
/** How often a walk may start anew. Each new start is a little secret. */
const maxBreaks = 4
/** The longest run of digits and signs that adds no secret to a word: a year, or `!!`. */
const maxShortRun = 4

/** Returns true if a text is empty, short, a repetition, or a walk along the alphabet, the digits or the keyboard. */
function isTrivial (part: string): boolean {
  // Signs between other characters are no secret: `2024!!`, `-2024-2024`.
  const text = part.replace(/[!-/:-@[-`{-~\s]/g, '') || part
  if (text.length <= maxShortRun) return !/\p{L}/u.test(text) || text.length <= 1
  if (/^(.{1,4})\1*$/su.test(text)) return true
  let breaks = 0
  for (let index = 1; index < text.length; index++) {
    const pair = text.slice(index - 1, index + 1)
    if (pair[0] !== pair[1] && !neighbours.has(pair)) breaks++
  }
  // A walk that starts anew a few times, as in `123123123` or `qwertyasdfgh`.
  return breaks <= Math.min(maxBreaks, text.length / 4)
}

function reverse (text: string): string {
  return [...text].reverse().join('')
}
