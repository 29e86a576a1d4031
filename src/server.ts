import { refuseOldNode } from './process/node-version.ts'

// `npm start`, the image and `signout serve` run this.
refuseOldNode()
const { serve } = await import('./process/serve.ts')
await serve()
