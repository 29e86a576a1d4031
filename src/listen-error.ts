import { StartupError } from './errors.ts'

/** An address that was to be listened on, and the names of its settings. */
export interface ListenAddress {
  host: string
  port: number
  portSetting: 'PORT' | 'METRICS_PORT'
}

/** What to change when an address cannot be listened on. What has nothing to do with that is returned as it is. */
export function explainListenError (error: unknown, { host, port, portSetting }: ListenAddress): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE': return new StartupError(`${portSetting} ${port} on ${host} is in use: stop what listens there, or choose another port.`)
    case 'EACCES': return new StartupError(`${portSetting} ${port} on ${host} may not be opened by this user: choose a port from 1024.`)
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND': return new StartupError(`HOST ${host} is not an address of this machine.`)
    default: return error
  }
}
