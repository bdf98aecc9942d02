// What oauth4webapi makes of Gatehouse as an OpenID provider: node oauth4webapi.mjs ISSUER CLIENT SECRET REDIRECT
// The secret may be a private key, as a JWK.
// It prints the address that a browser goes to, and reads the one where that ends.
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'
import * as oauth from 'oauth4webapi'

const [issuer, id, secret, redirect] = process.argv.slice(2)
const insecure = { [oauth.allowInsecureRequests]: true } // it runs on this machine
const url = new URL(issuer)
const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, insecure))
const client = { client_id: id }
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

const signIn = async (proof, more = {}, pushed = false) => {
  const verifier = oauth.generateRandomCodeVerifier(), state = oauth.generateRandomState(), nonce = oauth.generateRandomNonce()
  const to = new URL(as.authorization_endpoint)
  let asked = {
    client_id: id, redirect_uri: redirect, response_type: 'code', scope: 'openid profile email offline_access', state, nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...more,
  }
  if (pushed) {
    const answer = await oauth.pushedAuthorizationRequest(as, client, proof, asked, insecure)
    asked = { client_id: id, request_uri: (await oauth.processPushedAuthorizationResponse(as, client, answer)).request_uri }
  }
  for (const [name, value] of Object.entries(asked)) to.searchParams.set(name, value)
  console.log(to.href)
  const back = new URL((await lines.next()).value)
  await assert.rejects(async () => oauth.validateAuthResponse(as, client, back, 'another state'))
  const params = oauth.validateAuthResponse(as, client, back, state) // it wants iss
  const answer = await oauth.authorizationCodeGrantRequest(as, client, proof, params, redirect, verifier, insecure)
  const got = await oauth.processAuthorizationCodeResponse(as, client, answer, { expectedNonce: nonce, requireIdToken: true, ...(more.max_age && { maxAge: +more.max_age }) })
  await oauth.validateApplicationLevelSignature(as, answer, insecure)
  return got
}

let got
const key = secret.startsWith('{') && await crypto.subtle.importKey('jwk', JSON.parse(secret), { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const proofs = key ? [oauth.PrivateKeyJwt(key), oauth.PrivateKeyJwt({ key, kid: 'one' })] : [oauth.ClientSecretBasic(secret), oauth.ClientSecretPost(secret)]
for (const proof of proofs) {
  got = await signIn(proof, { max_age: '3600' }, proof === proofs[1])
  const claims = oauth.getValidatedIdTokenClaims(got)
  assert.equal(claims.aud, id)
  const info = await oauth.processUserInfoResponse(as, client, claims.sub, await oauth.userInfoRequest(as, client, got.access_token, insecure))
  assert.equal(info.email, claims.email)
  assert.equal(info.email_verified, true)

  // RFC 9068, as a resource server reads it.
  const access = await oauth.validateJwtAccessToken(as, new Request('https://api.example', { headers: { authorization: `Bearer ${got.access_token}` } }), as.userinfo_endpoint, insecure)
  assert.equal(access.client_id, id)
  const refreshed = await oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, proof, got.refresh_token, insecure))
  assert.notEqual(refreshed.refresh_token, got.refresh_token)
  assert.equal(oauth.getValidatedIdTokenClaims(refreshed).sub, claims.sub)
  const told = await oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, proof, refreshed.access_token, insecure))
  assert.equal(told.active, true)
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, proof, refreshed.refresh_token, insecure))
  await assert.rejects(async () => oauth.processRefreshTokenResponse(as, client,
    await oauth.refreshTokenGrantRequest(as, client, proof, refreshed.refresh_token, insecure)), (e) => e.error === 'invalid_grant')
}
await assert.rejects(signIn(oauth.ClientSecretBasic('wrong')), (e) => e instanceof oauth.WWWAuthenticateChallengeError || e.error === 'invalid_client')
console.log('done ' + oauth.getValidatedIdTokenClaims(got).sub)
process.exit(0)
