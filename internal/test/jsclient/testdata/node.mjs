// What a program in Node does with the client: node node.mjs CLIENT URL API STRANGER. After each line that it
// prints it waits for one, which the test answers when it has done its part.
import { createInterface } from "node:readline";
import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";

const [, , path, url, api, stranger] = process.argv;
const { Gatehouse, GatehouseError, memory } = await import(path);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ask = async (what) => { console.log(what); return (await lines.next()).value; };

const client = new Gatehouse({ url, origins: [new URL(api).origin], patience: 5 });
const told = [];
for (const type of ["signedin", "signedout"]) client.addEventListener(type, () => told.push(type));
assert.equal(await client.resume(), null);

const password = await ask("password");
await assert.rejects(client.signIn("ada@example.org", "not her password, no"), (e) => e instanceof GatehouseError && e.code === "invalid_credentials");
let next = await client.signIn("ada@example.org", password);
assert.equal(next.step, "factor");
assert.deepEqual(next.factors, ["totp", "recovery_code"]);
await assert.rejects(client.showCode("000000"), (e) => e.code === "invalid_code" && e.problem.tries_left === 4);
next = await client.showCode(await ask("code"));
assert.equal(next.step, "done");
assert.deepEqual(told, ["signedin"]);
assert.equal((await client.me()).email, "ada@example.org");

// A wrong code is a 401 too, and is not sent twice.
assert.match((await client.offerApp()).uri, /^otpauth:/);
await assert.rejects(client.confirmApp("000000"), (e) => e.code === "invalid_code");
await ask("wrong");

await ask("expire");
const many = await Promise.all(Array.from({ length: 16 }, () => client.fetch(new URL("/v1/me", url)).then((r) => r.status)));
assert.deepEqual(new Set(many), new Set([200]));
await ask("refreshed");

// A body that was sent once is sent again after the refresh.
await ask("expire");
const answer = await client.fetch(new Request(new URL("/v1/me", url), { method: "PATCH", headers: { "Content-Type": "application/json" }, body: '{"name":"Ada"}' }));
assert.equal(answer.status, 200);
assert.equal((await client.me()).name, "Ada");

// What a gateway says ends no session.
await ask("gateway");
await assert.rejects(client.fetch(new URL("/v1/me", url)), (e) => e.status === 401 && e.code === "");
await assert.rejects(client.resume(), (e) => e.status === 401 && e.code === "");
assert.equal(client.signedIn, true);
await ask("no gateway");
assert.equal((await client.resume()).name, "Ada");

// Who is named gets the token; a stranger does not, whatever the path.
assert.equal((await client.fetch(api)).status, 200);
assert.equal((await client.fetch(stranger)).status, 200);
for (const elsewhere of [stranger, stranger.slice("http:".length)]) {
  await assert.rejects(client.call("GET", elsewhere), (e) => e instanceof GatehouseError && e.code === "not_gatehouse");
}
for (const path of [".example.org/x", "@example.org/x", ":1/x"]) await assert.rejects(client.call("GET", path), (e) => e.status === 404);

await client.signOut();
assert.deepEqual(told, ["signedin", "signedout"]);
assert.equal((await client.fetch(new URL("/v1/me", url))).status, 401);
await assert.rejects(new Gatehouse({ url: "http://127.0.0.1:1" }).me(), (e) => e.code === "unreachable" && e.status === 0);

// A page over plain http has no randomUUID. After close() it hears no other tab, and ends its session all the same.
globalThis.location = new URL(url);
Object.defineProperty(globalThis, "crypto", { value: { getRandomValues: (into) => webcrypto.getRandomValues(into) } });
const kept = memory();
const page = new Gatehouse({ mode: "bearer", storage: kept });
assert.equal((await page.signIn("ada@example.org", password)).step, "factor");
assert.equal((await page.showCode(await ask("code"))).step, "done");
await ask("expire");
assert.equal((await page.me()).name, "Ada");
const { access } = kept.get();
const me = () => fetch(new URL("/v1/me", url), { headers: { Authorization: `Bearer ${access}` } });
assert.equal((await me()).status, 200);
page.close();
await page.signOut();
assert.equal((await me()).status, 401);
console.log("done");
process.exit(0);
