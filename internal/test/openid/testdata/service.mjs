// What openid-client makes of Gatehouse for a service: node service.mjs ISSUER CLIENT SECRET RESOURCE. The secret may be a private key, as a JWK.
import assert from 'node:assert/strict'
import * as oidc from 'openid-client'

const [issuer, id, secret, resource] = process.argv.slice(2)
const key = secret.startsWith('{') && await crypto.subtle.importKey('jwk', JSON.parse(secret), { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const proofs = key ? [oidc.PrivateKeyJwt(key)] : [oidc.ClientSecretBasic(secret), oidc.ClientSecretPost(secret)]
const refused = (error) => (e) => e.error === error || assert.fail(`${e.error ?? e}`)

for (const proof of proofs) {
  const config = await oidc.discovery(new URL(issuer), id, undefined, proof, { execute: [oidc.allowInsecureRequests] }) // it runs on this machine
  assert.ok(config.serverMetadata().grant_types_supported.includes('client_credentials'))
  const got = await oidc.clientCredentialsGrant(config, { resource, scope: 'notes.read' })
  assert.equal(got.scope, 'notes.read')
  assert.equal(got.refresh_token, undefined)
  const told = await oidc.tokenIntrospection(config, got.access_token)
  assert.deepEqual([told.active, told.sub, told.aud, told.scope], [true, id, resource, 'notes.read'])
  await assert.rejects(oidc.clientCredentialsGrant(config, { resource: 'https://evil.example.org/' }), refused('invalid_target'))
  await assert.rejects(oidc.clientCredentialsGrant(config), refused('invalid_target'))
  await oidc.tokenRevocation(config, got.access_token)
  assert.equal((await oidc.tokenIntrospection(config, got.access_token)).active, false)
}
console.log('done ' + id)
process.exit(0)
