/** The load cannot be made. One sentence that says what is wrong, and the cure. */
export class LoadError extends Error {
  override readonly name = 'LoadError'
}
