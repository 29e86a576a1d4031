/** A part of the service that cannot be used now. */
export interface Unready {
  name: string
  /** What it rejected with. */
  reason: unknown
}

/** What must answer before the service can. */
export interface Readiness {
  /** @param ask resolves, within a bound of its own, when the part can be used */
  add (name: string, ask: () => Promise<unknown>): void
  /** The parts that cannot be used now. They are asked at the same time. */
  findUnready (): Promise<Unready[]>
}

export function createReadiness (): Readiness {
  const parts = new Map<string, () => Promise<unknown>>()
  return {
    add (name, ask) {
      parts.set(name, ask)
    },
    async findUnready () {
      const names = [...parts.keys()]
      const answers = await Promise.allSettled([...parts.values()].map(ask => ask()))
      return answers.flatMap((answer, index) => answer.status === 'rejected' ? [{ name: names[index] ?? '', reason: answer.reason as unknown }] : [])
    }
  }
}
