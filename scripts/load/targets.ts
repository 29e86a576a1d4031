import { lookup as lookUp } from 'node:dns/promises'
import ipaddr from 'ipaddr.js'
import { LoadError } from './failure.ts'
import { createHttpClient, type Exchange, type HttpClient, type Place } from './http-client.ts'
import { hostOf } from './options.ts'

/** The largest number of connections to one target. More would only form a queue. */
const maxConnections = 1_000

/** A running signout. */
export interface Target {
  /** The address, for people. */
  name: string
  load: HttpClient
  /** A client with connections of its own, so that checks never wait behind the load. */
  check: HttpClient
}

/** Resolves to every address of a host. */
type Lookup = (host: string, options: { all: true }) => Promise<Place['addresses']>

export interface OpenOptions {
  users: number
  ownsTarget: boolean
  /** Resolves host names. Defaults to the resolver of the system. It is called once for each name. */
  lookup?: Lookup
}

/**
 * Opens the targets. Checks that each is a signout that is ready, on this machine unless `ownsTarget`. Rejects with a
 * `LoadError` of one line that says what is wrong, and the cure.
 */
export async function openTargets (
  urls: URL[], { users, ownsTarget, lookup = lookUp }: OpenOptions
): Promise<Target[]> {
  const places = await Promise.all(urls.map(url => resolvePlace(url, lookup)))
  if (!ownsTarget) places.forEach(refuseOthers)
  const targets = places.map(place => ({
    name: place.url.href.replace(/\/$/, ''),
    load: createHttpClient(place, Math.min(users, maxConnections)),
    check: createHttpClient(place, Math.min(2 * users, maxConnections))
  }))
  try {
    await Promise.all(targets.map(makeSureOf))
    return targets
  } catch (error) {
    await closeTargets(targets)
    throw error
  }
}

export async function closeTargets (targets: Target[]): Promise<void> {
  await Promise.all(targets.flatMap(({ load, check }) => [load.close(), check.close()]))
}

async function resolvePlace (url: URL, lookup: Lookup): Promise<Place> {
  try {
    return { url, addresses: await lookup(hostOf(url), { all: true }) }
  } catch (error) {
    throw new LoadError(
      `${url.hostname} cannot be resolved (${(error as NodeJS.ErrnoException).code}): correct --target.`
    )
  }
}

/** Throws a `LoadError` if any address of the name is not on this machine, even one that would not be used now. */
function refuseOthers ({ url, addresses }: Place): void {
  const other = addresses.find(({ address }) => ipaddr.process(address).range() !== 'loopback')
  if (other === undefined) return
  const meaning = other.address === hostOf(url) ? url.hostname : `${url.hostname} is ${other.address}, which`
  throw new LoadError(`${meaning} is not this machine: to load what is yours elsewhere, add --i-own-this-target.`)
}

async function makeSureOf ({ name, load }: Target): Promise<void> {
  const anonymous = await load.send({ method: 'GET', path: '/token' })
  const { status, failure, error } = anonymous
  if (failure !== undefined) throw new LoadError(explainFailure(name, failure))
  if (status !== undefined && status >= 300 && status < 400) {
    throw new LoadError(
      `${name} redirects to ${locationOf(anonymous)}: give the address itself, redirects are not followed.`
    )
  }
  if (/plain HTTP request was sent to HTTPS port/i.test(anonymous.body)) {
    throw new LoadError(explainFailure(name, 'HPE_INVALID_CONSTANT'))
  }
  if (status !== 401 || error !== 'authorization_required') {
    throw new LoadError(
      `${name} is no signout: GET /token without a token was answered ${status}${error === undefined ? '' : ` ${error}`}, where 401 authorization_required was expected.`
    )
  }
  const ready = await load.send({ method: 'GET', path: '/health/ready' })
  if (ready.status !== 200) {
    throw new LoadError(
      `${name} is not ready: GET /health/ready was answered ${ready.status ?? ready.failure}: ${ready.body.slice(0, 300)}`
    )
  }
}

function locationOf ({ headers }: Exchange): string {
  return String(headers['location'] ?? 'another address')
}

function explainFailure (name: string, failure: string): string {
  switch (failure) {
    case 'ECONNREFUSED':
      return `Nothing listens at ${name}: start it there, or correct --target.`
    case 'timeout':
    case 'UND_ERR_CONNECT_TIMEOUT':
      return `${name} did not answer within the deadline: start it there, or correct --target.`
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
    case 'EPROTO':
      return `${name} does not speak TLS: write http:// instead of https://.`
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      return `The certificate of ${name} is not trusted (${failure}): name its authority in NODE_EXTRA_CA_CERTS.`
    default:
      return /^HPE_|^HTTPParserError$|^UND_ERR_SOCKET$|^ECONNRESET$/.test(failure)
        ? `${name} does not speak plain HTTP (${failure}): where it needs TLS, write https:// instead of http://.`
        : `${name} is unreachable (${failure}): correct --target.`
  }
}
