/** A part of the service that cannot be used now. */
export interface Unready {
  name: string
  /** The error that the question to it rejected with. */
  reason: unknown
}

/** Remarks for operators about a service that is ready. */
export interface Remarks {
  /** Redis lacks the newest revocations. Tokens are checked against Postgres as well. */
  blocklist?: 'behind'
}

/** The parts that must work before the service is ready. */
export interface Readiness {
  /**
   * Adds a part.
   *
   * @param ask resolves if the part can be used; it must settle within a bound of its own
   * @param remark returns the remarks on the part, once it was asked
   */
  add (name: string, ask: () => Promise<unknown>, remark?: () => Remarks): void
  /** Sets the function that is called with each part that was found unusable. */
  report (onUnready: (unready: Unready) => void): void
  /** Resolves if a part can be used. Rejects otherwise, and for a part that was never added. */
  ask (name: string): Promise<unknown>
  /** Returns the remarks on all parts. */
  readonly remarks: Remarks
  /** Asks all parts at the same time, and returns those that cannot be used now. */
  findUnready (): Promise<Unready[]>
}

export function createReadiness (): Readiness {
  const parts = new Map<string, () => Promise<unknown>>()
  const remarks: Array<() => Remarks> = []
  let reportUnready: (unready: Unready) => void = () => {}
  return {
    add (name, ask, remark) {
      parts.set(name, ask)
      if (remark !== undefined) remarks.push(remark)
    },
    report (onUnready) { reportUnready = onUnready },
    async ask (name) {
      const ask = parts.get(name)
      if (ask === undefined) throw new Error(`There is no part ${name}.`)
      return await ask()
    },
    get remarks () {
      return Object.assign({}, ...remarks.map(remark => remark())) as Remarks
    },
    async findUnready () {
      const names = [...parts.keys()]
      const answers = await Promise.allSettled([...parts.values()].map(ask => ask()))
      const unready = answers.flatMap((answer, index) =>
        answer.status === 'rejected' ? [{ name: names[index] ?? '', reason: answer.reason as unknown }] : []
      )
      for (const part of unready) reportUnready(part)
      return unready
    }
  }
}
