// What openid-client makes of Gatehouse for a device: node device.mjs ISSUER CLIENT. It prints the code that its person types.
import assert from 'node:assert/strict'
import * as oidc from 'openid-client'

const [issuer, id] = process.argv.slice(2)
const config = await oidc.discovery(new URL(issuer), id, undefined, oidc.None(), { execute: [oidc.allowInsecureRequests] }) // it runs on this machine
const begun = await oidc.initiateDeviceAuthorization(config, { scope: 'openid email' })
assert.equal(begun.verification_uri, issuer + '/device')
console.log('code ' + begun.user_code)
const got = await oidc.pollDeviceAuthorizationGrant(config, begun)
const info = await oidc.fetchUserInfo(config, got.access_token, got.claims().sub)
const next = await oidc.refreshTokenGrant(config, got.refresh_token)
assert.equal(next.claims().sub, info.sub)
console.log('done ' + info.email)
process.exit(0)
