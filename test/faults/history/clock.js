// Loaded before a replica, so that its clock differs from that of the others: CLOCK_OFFSET_MS milliseconds ahead, or
// behind. What measures durations goes on as it does.
const offsetMs = Number(process.env.CLOCK_OFFSET_MS)
const { now } = Date

Date.now = () => now() + offsetMs
globalThis.Date = new Proxy(Date, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [target.now()] : args, newTarget),
  apply: target => Reflect.construct(target, [target.now()]).toString()
})
