/** The load cannot run. The message is one sentence that says what is wrong, and the cure. */
export class LoadError extends Error {
  override readonly name = 'LoadError'
}
