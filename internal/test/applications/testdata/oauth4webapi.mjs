// What oauth4webapi makes of Gatehouse: node oauth4webapi.mjs ISSUER CLIENT SECRET TOKEN
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'

const [issuer, id, secret, token] = process.argv.slice(2)
const insecure = { [oauth.allowInsecureRequests]: true } // it runs on this machine
const url = new URL(issuer)
const as = await oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm: 'oauth2', ...insecure }))
const client = { client_id: id }
const ask = async (of, proof) =>
  oauth.processIntrospectionResponse(as, client, await oauth.introspectionRequest(as, client, proof, of, insecure))

const proof = oauth.ClientSecretBasic(secret)
const good = await ask(token, proof)
assert.equal(good.active, true)
assert.equal(good.iss, issuer)
assert.equal(good.token_type, 'Bearer')
assert.deepEqual(await ask('no token', proof), { active: false })
await assert.rejects(ask(token, oauth.ClientSecretBasic('gatehouse_cs_x')), (error) => {
  assert(error instanceof oauth.WWWAuthenticateChallengeError)
  assert.equal(error.status, 401)
  assert.equal(error.cause[0].scheme, 'basic')
  return true
})

for (let twice = 0; twice < 2; twice++) {
  assert.equal(await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, proof, token, insecure)), undefined)
  assert.deepEqual(await ask(token, proof), { active: false })
}
console.log(good.sub)
