// Loaded into each process of a test before tap is. tap registers a loader that lists all modules that a test loads, in
// a thread of its own. Each test then takes a second longer to start, and only `npm run coverage` needs the list. Other
// loaders are registered as usual.
import asyncHooks from 'node:async_hooks'
import module from 'node:module'
import v8 from 'node:v8'

// Compiled before the tests run.
const { nodeArgs } = await import('../.build/test/support/node-args.js')
for (const option of nodeArgs) v8.setFlagsFromString(option)

const { register, registerHooks } = module
module.register = (specifier, ...rest) =>
  String(specifier).includes('/@tapjs/processinfo/') ? undefined : register?.(specifier, ...rest)
// Newer versions of tap and Node use this instead.
module.registerHooks = hooks =>
  hooks.load?.name === 'loadSync' ? { deregister () {} } : registerHooks?.(hooks)

// tap follows each promise, to know which test an uncaught error is from. That is a twentieth of the processor time of
// all tests. Without it, such an error ends the process, and fails the whole file.
const { createHook } = asyncHooks
asyncHooks.createHook = hooks => createHook(new Error().stack.includes('async-hook-domain') ? {} : hooks)
module.syncBuiltinESMExports()
