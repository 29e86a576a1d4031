/** Returns a function of one argument that is made when it is called first. It is on the way of every request. */
export function lazily<Argument, Result> (make: () => (argument: Argument) => Result): (argument: Argument) => Result {
  let made: ((argument: Argument) => Result) | undefined
  return argument => {
    made ??= make()
    return made(argument)
  }
}
