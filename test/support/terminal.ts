/** Returns the arguments for `script`, which runs a command in a terminal of its own. */
export function inTerminal (command: string): string[] {
  return process.platform === 'darwin' ? ['-q', '/dev/null', 'sh', '-c', command] : ['-qec', command, '/dev/null']
}
