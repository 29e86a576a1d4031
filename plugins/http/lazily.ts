/** Returns a function that is made when it is called first. */
export function lazily<Arguments extends unknown[], Result> (
  make: () => (...args: Arguments) => Result
): (...args: Arguments) => Result {
  let made: ((...args: Arguments) => Result) | undefined
  return (...args) => {
    made ??= make()
    return made(...args)
  }
}
