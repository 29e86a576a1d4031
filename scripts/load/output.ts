import type { Writable } from 'node:stream'

/**
 * Lets a run outlive those who watch it: the terminal may be closed (EIO), a reader may have had enough, as `head` has
 * (EPIPE). No failure to write a line is a reason to leave behind the replicas and the users that were made for the
 * run. The first one ends the writing.
 */
export function outliveReaders (stream: Writable): void {
  stream.on('error', () => { stream.write = () => true })
}
