type Write = (fields: object, message: string) => void

/** The logger that events are written to, such as pino's. */
export interface EventLogger {
  debug: Write
  info: Write
  warn: Write
  error: Write
}
