// A web application behind Gatehouse: it takes access tokens, and refuses those that were revoked where that matters.
//
//   cd examples/node && npm ci
//   node main.js --issuer http://127.0.0.1:8000 --client ID --secret-file FILE
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { parseArgs } from 'node:util'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'
import * as oauth from 'oauth4webapi'

const { values: flags } = parseArgs({
  options: {
    port: { type: 'string', default: '8080' },
    issuer: { type: 'string', default: 'http://127.0.0.1:8000' }, // Gatehouse's PUBLIC_URL
    client: { type: 'string', default: '' }, // the id that gatehouse client create has shown
    'secret-file': { type: 'string', default: '' }, // the file with its secret
  },
})
const issuer = new URL(flags.issuer)
const insecure = { [oauth.allowInsecureRequests]: issuer.hostname === '127.0.0.1' } // http on this machine alone

// Where everything is, by Gatehouse's metadata (RFC 8414).
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure }))
const keys = createRemoteJWKSet(new URL(server.jwks_uri))
const client = { client_id: flags.client }
const secret = flags.client && oauth.ClientSecretBasic(readFileSync(flags['secret-file'], 'utf8').trim())

// Refusal is an answer of RFC 6750.
class Refusal extends Error {
  constructor(status, headers = {}) {
    super()
    Object.assign(this, { status, headers })
  }
}
const invalid = () => new Refusal(401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' })

// authenticate checks a token by the published keys: no call is made for it, and a revoked one is good until it expires.
async function authenticate(request) {
  const [scheme, token, ...more] = (request.headers.authorization ?? '').split(' ')
  if (scheme.toLowerCase() !== 'bearer' || !token || more.length > 0) throw new Refusal(401, { 'WWW-Authenticate': 'Bearer' })
  try {
    const { payload } = await jwtVerify(token, keys, {
      algorithms: ['ES256'], typ: 'at+jwt', issuer: server.issuer, audience: server.issuer, requiredClaims: ['sub', 'sid', 'exp'],
    })
    return { token, ...payload }
  } catch (error) {
    const away = !(error instanceof errors.JOSEError) || error instanceof errors.JWKSTimeout || error.code === 'ERR_JOSE_GENERIC'
    throw away ? new Refusal(503, { 'Retry-After': '1' }) : invalid()
  }
}

// alive asks Gatehouse whether the token has been revoked (RFC 7662).
async function alive({ token }) {
  let answer
  try {
    const response = await oauth.introspectionRequest(server, client, secret, token, { signal: AbortSignal.timeout(2000), ...insecure })
    answer = await oauth.processIntrospectionResponse(server, client, response)
  } catch {
    throw new Refusal(503, { 'Retry-After': '1' })
  }
  if (!answer.active) throw invalid()
}

const routes = {
  'GET /hello': async (who) => ({ hello: who.sub, roles: who.roles }),
  'POST /orders': async (who) => {
    await alive(who)
    return { ordered: true }
  },
}

const web = createServer(async (request, response) => {
  const write = (status, headers, body) =>
    response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers }).end(JSON.stringify(body))
  const route = routes[`${request.method} ${request.url}`]
  try {
    if (!route) throw new Refusal(404)
    write(200, {}, await route(await authenticate(request)))
  } catch (error) {
    write(error.status ?? 500, error.headers ?? {}, { status: error.status ?? 500 })
  }
})
web.listen(Number(flags.port), '127.0.0.1', () => console.log(`http://127.0.0.1:${web.address().port}`))
