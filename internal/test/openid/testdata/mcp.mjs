// What the client of the Model Context Protocol's SDK makes of Gatehouse: node mcp.mjs SERVER. It prints the address that a browser goes to, and reads
// the one where that ends.
import assert from 'node:assert/strict'
import { createInterface } from 'node:readline'
import { auth } from '@modelcontextprotocol/sdk/client/auth.js'

const [serverUrl] = process.argv.slice(2)
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const kept = {}
let leads
const provider = {
  redirectUrl: 'http://localhost:33418/callback',
  clientMetadata: { client_name: 'Notebook', redirect_uris: ['http://localhost:33418/callback'], grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'], token_endpoint_auth_method: 'none' },
  state: () => 'the state',
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens },
  redirectToAuthorization: (url) => { leads = url },
  saveCodeVerifier: (verifier) => { kept.verifier = verifier },
  codeVerifier: () => kept.verifier,
}
const call = () => fetch(serverUrl, { headers: kept.tokens ? { Authorization: `Bearer ${kept.tokens.access_token}` } : {} })

assert.equal((await call()).status, 401)
assert.equal(await auth(provider, { serverUrl }), 'REDIRECT')
assert.ok(kept.client.client_id)
assert.equal(leads.searchParams.get('resource'), serverUrl)
console.log(leads.href)
const back = new URL((await lines.next()).value)
assert.equal(back.searchParams.get('state'), 'the state')
assert.equal(await auth(provider, { serverUrl, authorizationCode: back.searchParams.get('code') }), 'AUTHORIZED')
const first = await call()
assert.equal(first.status, 200)
const before = kept.tokens.refresh_token
assert.equal(await auth(provider, { serverUrl }), 'AUTHORIZED') // it refreshes
assert.notEqual(kept.tokens.refresh_token, before)
const second = await call()
assert.equal(second.status, 200)
console.log('done ' + (await second.text()))
process.exit(0)
