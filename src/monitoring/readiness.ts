/** A part of the service that cannot be used now. */
export interface Unready {
  name: string
  /** What it rejected with. */
  reason: unknown
}

/** What operators should know of a service that is ready. */
export interface Remarks {
  /** Redis lacks the newest revocations, and Postgres is asked about those. */
  blocklist?: 'behind'
}

/** What must answer before the service can. */
export interface Readiness {
  /**
   * @param ask resolves, within a bound of its own, when the part can be used
   * @param remark returns what to say of the part, once it was asked
   */
  add (name: string, ask: () => Promise<unknown>, remark?: () => Remarks): void
  /** Returns the remarks on all parts. */
  readonly remarks: Remarks
  /** The parts that cannot be used now. They are asked at the same time. */
  findUnready (): Promise<Unready[]>
}

export function createReadiness (): Readiness {
  const parts = new Map<string, () => Promise<unknown>>()
  const remarks: Array<() => Remarks> = []
  return {
    add (name, ask, remark) {
      parts.set(name, ask)
      if (remark !== undefined) remarks.push(remark)
    },
    get remarks () {
      return Object.assign({}, ...remarks.map(remark => remark())) as Remarks
    },
    async findUnready () {
      const names = [...parts.keys()]
      const answers = await Promise.allSettled([...parts.values()].map(ask => ask()))
      return answers.flatMap((answer, index) =>
        answer.status === 'rejected' ? [{ name: names[index] ?? '', reason: answer.reason as unknown }] : []
      )
    }
  }
}
