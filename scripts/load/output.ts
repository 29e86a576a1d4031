import type { Writable } from 'node:stream'

/**
 * Lets a run outlive the readers of its output. The terminal may be closed (EIO), or a reader may stop, as `head` does
 * (EPIPE). Replicas and users of the run must be removed all the same. After the first failure nothing more is written.
 */
export function outliveReaders (stream: Writable): void {
  stream.on('error', () => { stream.write = () => true })
}
