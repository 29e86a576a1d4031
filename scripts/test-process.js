// Loaded into each process of a test before tap is. tap registers a loader that lists all modules that a test loads, in
// a thread of its own. Each test then takes a second longer to start, and only `npm run coverage` needs the list.
import module from 'node:module'

module.register = () => {}
module.registerHooks = () => ({ deregister () {} })
