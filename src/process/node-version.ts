/** The oldest version of Node that runs signout, as `engines` of package.json says. */
export const oldestNode: readonly [number, number] = [20, 19]

/**
 * Prints one line and ends the process with 1 if its Node is too old. Later imports may fail there, with an error that
 * does not say why, so an entry point calls this before it imports anything else.
 */
export function refuseOldNode (): void {
  const [major, minor] = process.versions.node.split('.').map(Number) as [number, number]
  const [oldestMajor, oldestMinor] = oldestNode
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return
  process.stderr.write(
    `signout needs Node ${oldestNode.join('.')} or newer, and this is Node ${process.versions.node}: install a newer one (nodejs.org).\n`
  )
  process.exit(1)
}
