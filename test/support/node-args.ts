/**
 * Options of Node for test processes, and for the processes that tests start.
 *
 * Most of them run for a few seconds. V8 optimizes functions so early that it costs a fifth of their processor time.
 * The WebAssembly of the embedded Postgres it optimizes always. Functions that run for longer are still optimized.
 * Later versions of Node wait longer before they optimize, and do not know the second option.
 */
export const nodeArgs = [
  '--liftoff-only',
  ...process.versions.node.startsWith('20.') ? ['--interrupt-budget=1000000'] : []
]
