/**
 * Options of Node for test processes, and for the processes that tests start.
 *
 * Most of them run for a few seconds. V8 optimizes functions so early that it costs a fifth of their processor time,
 * and the WebAssembly of the embedded Postgres always. Functions that run for longer are still optimized. Later versions
 * of Node wait longer themselves, and do not know the second option.
 */
export const nodeArgs = [
  '--liftoff-only',
  ...process.versions.node.startsWith('20.') ? ['--interrupt-budget=1000000'] : []
]
