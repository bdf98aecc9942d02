// What openid-client makes of Gatehouse as an OpenID provider: node openid-client.mjs ISSUER CLIENT SECRET REDIRECT ALGORITHM
// The secret may be a private key, as a JWK. It prints the address that a browser goes to, and reads the one where that ends.
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'
import * as oidc from 'openid-client'

const [issuer, id, secret, redirect, algorithm] = process.argv.slice(2)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const through = async (url) => {
  console.log(url.href)
  return new URL((await lines.next()).value)
}
const discover = (proof) => oidc.discovery(new URL(issuer), id, { id_token_signed_response_alg: algorithm }, proof, { execute: [oidc.allowInsecureRequests] }) // it runs on this machine
const refused = (error) => (e) => e.error === error || assert.fail(`${e.error ?? e}`)

const key = secret.startsWith('{') && await crypto.subtle.importKey('jwk', JSON.parse(secret), { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const proofs = key ? [oidc.PrivateKeyJwt(key)] : [oidc.ClientSecretBasic(secret), oidc.ClientSecretPost(secret)]

// begin makes a request; what it returns reads the answer.
const begin = async (config, more = {}, pushed = false) => {
  const verifier = oidc.randomPKCECodeVerifier(), state = oidc.randomState(), nonce = oidc.randomNonce()
  const asked = {
    redirect_uri: redirect, scope: 'openid profile email', state, nonce,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...more,
  }
  const url = pushed ? await oidc.buildAuthorizationUrlWithPAR(config, asked) : oidc.buildAuthorizationUrl(config, asked)
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true, ...(more.max_age && { maxAge: +more.max_age }) }
  return { url, got: (back, other = {}) => oidc.authorizationCodeGrant(config, back, { ...checks, ...other }) }
}
const signIn = async (config, more, pushed) => {
  const { url, got } = await begin(config, more, pushed)
  return got(await through(url))
}

let last
for (const proof of proofs) {
  const config = await discover(proof)
  assert.ok(config.serverMetadata().supportsPKCE())
  const first = await signIn(config, { max_age: '3600' })
  const { sub, auth_time, acr, email } = first.claims()
  assert.equal(acr, '1fa')
  const info = await oidc.fetchUserInfo(config, first.access_token, sub)
  assert.equal(info.email, email)

  // Again without a page, for the same sign-in, by a request that is pushed.
  const silent = await signIn(config, { prompt: 'none' }, true)
  assert.equal(silent.claims().auth_time, auth_time)
  assert.equal(silent.claims().sub, sub)

  // What is asked for and can't be had comes back as an error, with iss and state.
  await assert.rejects(signIn(config, { prompt: 'none', id_token_hint: 'x.y.z' }), refused('login_required'))
  await assert.rejects(signIn(config, { response_type: 'token' }), refused('unsupported_response_type'))
  await assert.rejects(signIn(config, { request: 'x.y.z' }), refused('request_not_supported'))

  // A code is good with its verifier and once; a second use ends what the first gave.
  const { url, got } = await begin(config)
  const back = await through(url)
  await assert.rejects(got(back, { pkceCodeVerifier: oidc.randomPKCECodeVerifier() }), refused('invalid_grant'))
  await assert.rejects(got(new URL(back.href.replace(/iss=[^&]*/, 'iss=https%3A%2F%2Fevil.example.org'))))
  const once = await got(back)
  await assert.rejects(got(back), refused('invalid_grant'))
  await assert.rejects(oidc.refreshTokenGrant(config, once.refresh_token), refused('invalid_grant'))

  // An offline grant: the refresh token rotates, the ID token stays the sign-in's.
  const offline = await signIn(config, { scope: 'openid offline_access', prompt: 'consent' })
  const next = await oidc.refreshTokenGrant(config, offline.refresh_token)
  assert.notEqual(next.refresh_token, offline.refresh_token)
  assert.equal(next.claims().auth_time, offline.claims().auth_time)
  assert.equal(next.claims().sid, offline.claims().sid)
  assert.equal(next.claims().nonce, undefined)
  assert.ok((await oidc.tokenIntrospection(config, next.access_token)).active)
  await oidc.tokenRevocation(config, next.refresh_token)
  assert.equal((await oidc.tokenIntrospection(config, next.access_token)).active, false)
  await assert.rejects(oidc.refreshTokenGrant(config, next.refresh_token), refused('invalid_grant'))
  last = { config, hint: silent.id_token, sub }
}

const wrong = await discover(oidc.ClientSecretBasic('wrong'))
await assert.rejects(signIn(wrong), (e) => e.error === 'invalid_client' || e.status === 401 || assert.fail(`${e}`))

// Signed out by the application, and nobody is signed in then.
const out = await through(oidc.buildEndSessionUrl(last.config, { id_token_hint: last.hint, post_logout_redirect_uri: 'https://app.example.org/bye', state: 'over' }))
assert.equal(out.href, 'https://app.example.org/bye?state=over')
await assert.rejects(signIn(last.config, { prompt: 'none' }), refused('login_required'))
console.log('done ' + last.sub)
process.exit(0)
