import { serve } from './serve.ts'

/** What `npm start` and the image run. The command line has it as `signout serve`. */
await serve()
