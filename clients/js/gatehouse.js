// The client of Gatehouse for browsers and Node. README.md explains it; gatehouse.d.ts has its types.

/** What Gatehouse answered, or that nobody did: `status` 0. Compare `code`. */
export class GatehouseError extends Error {
  constructor(status, problem = {}, cause) {
    super(problem.detail || `Gatehouse answered ${status}`, { cause });
    Object.assign(this, { name: "GatehouseError", status, code: problem.code || "", problem });
  }
}

/** Tokens in memory: for Node, and for pages that may forget them. */
export const memory = () => {
  let kept = null;
  return { get: () => kept, set: (v) => { kept = v; } };
};

// The session, for all tabs of a browser. Not localStorage: what one tab has written there another may read late, and would
// then refresh once more.
const kept = (name) => {
  const ask = async (mode, what) => {
    const db = await new Promise((done, fail) => {
      const open = Object.assign(indexedDB.open(name), { onsuccess: () => done(open.result), onerror: () => fail(open.error) });
      open.onupgradeneeded = () => open.result.createObjectStore("kept");
    });
    return new Promise((done, fail) => {
      const all = db.transaction("kept", mode);
      const r = what(all.objectStore("kept"));
      all.oncomplete = () => { db.close(); done(r.result || null); };
      all.onabort = () => { db.close(); fail(all.error); };
    });
  };
  return { get: () => ask("readonly", (all) => all.get(0)), set: (v) => ask("readwrite", (all) => (v ? all.put(v, 0) : all.delete(0))) };
};

const steps = { second_factor_required: "factor", second_factor_enrolment_required: "enrol", agreement_required: "agree" };
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const some = () => crypto.getRandomValues(new Uint32Array(4)).join("-"); // randomUUID is there over https alone
const ours = (type) => /^urn:gatehouse:/.test(type);
const safe = (method) => /^(GET|HEAD|OPTIONS)$/i.test(method || "GET");

export class Gatehouse extends EventTarget {
  #o; #store; #channel; #lock; #queue = Promise.resolve(); #pending; #request;

  constructor(options = {}) {
    super();
    const here = globalThis.location?.origin;
    const url = new URL(options.url || here).origin;
    this.#o = { mode: here ? "cookies" : "bearer", fetch: (...a) => globalThis.fetch(...a), patience: 30, timeout: 10, ...options, url };
    this.#o.origins = new Set([url, here, ...(options.origins || [])]);
    const name = `gatehouse:${url}`;
    this.#store = options.storage || (here && globalThis.indexedDB ? kept(name) : memory());
    if (here) this.#lock = name;
    if (here && globalThis.BroadcastChannel) {
      this.#channel = new BroadcastChannel(name);
      this.#channel.onmessage = (e) => this.#tell(e.data);
    }
  }

  /** Whether somebody is signed in, as far as this tab knows without asking: after `resume()`, say. */
  signedIn = false;

  /** No more messages of other tabs. */
  close() {
    this.#channel?.close();
    this.#channel = undefined;
  }

  #tell(type) {
    this.signedIn = type === "signedin";
    this.dispatchEvent(new Event(type));
  }

  async #read() {
    const session = await this.#store.get();
    this.signedIn = !!session;
    return session;
  }

  async #keep(session) {
    await this.#store.set(session);
    const type = session ? "signedin" : "signedout";
    this.#channel?.postMessage(type);
    this.#tell(type);
  }

  // One at a time among all tabs, where the browser has locks; in this tab, where it has none: then Gatehouse's own grace
  // keeps two tabs apart.
  #alone(work) {
    const locks = this.#lock && globalThis.navigator?.locks;
    if (locks) return locks.request(this.#lock, work);
    const turn = this.#queue.then(work);
    this.#queue = turn.catch(() => {});
    return turn;
  }

  // What the store keeps of an answer: the tokens, or in cookie mode what no thief can use. `n` tells one pair from the next.
  #session(t) {
    const n = some();
    return t.csrf_token ? { n, csrf: t.csrf_token } : { n, access: t.access_token, refresh: t.refresh_token };
  }

  // The session's token against forged requests: of the cookie, on Gatehouse's own host, or as an answer told it.
  #csrf(session) {
    return this.#o.mode === "cookies" && (globalThis.document?.cookie.match(/(?:^|; )(?:__Host-)?gatehouse_csrf=([^;]+)/)?.[1] || session?.csrf);
  }

  async #send(path, { method = "POST", body, session, ...more } = {}) {
    const cookies = this.#o.mode === "cookies", to = new URL(path, this.#o.url);
    if (to.origin !== this.#o.url) throw new GatehouseError(0, { code: "not_gatehouse", detail: `${to} is not at ${this.#o.url}: use fetch.` });
    const headers = { Accept: "application/json" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const csrf = this.#csrf(session);
    if (csrf && !safe(method)) headers["X-CSRF-Token"] = csrf;
    if (session?.access) headers.Authorization = `Bearer ${session.access}`;
    return this.#o.fetch(to.href, {
      method, headers, credentials: cookies ? "include" : "omit", cache: "no-store", redirect: "error",
      body: body === undefined ? undefined : JSON.stringify(body), signal: AbortSignal.timeout(this.#o.timeout * 1000), ...more,
    });
  }

  async #value(answer) {
    const text = await answer.text();
    const value = text && /json/.test(answer.headers.get("Content-Type")) ? JSON.parse(text) : undefined;
    if (!answer.ok) throw new GatehouseError(answer.status, value || {});
    return value;
  }

  /** Calls the API: the answer's value, or a GatehouseError. Signed in, it refreshes as `fetch` does. */
  async call(method, path, body) {
    let answer;
    try {
      answer = await this.#refreshing((session) => this.#send(path, { method, body, session }));
    } catch (e) {
      throw e instanceof GatehouseError ? e : new GatehouseError(0, { code: "unreachable", detail: "Gatehouse can't be reached." }, e);
    }
    const value = await this.#value(answer);
    if (value?.request) this.#request = value.request;
    return value;
  }

  // Whether a 401 is about the token: Gatehouse also says it of a wrong code, which must not be sent twice.
  async #stale(answer) {
    if (answer.status !== 401 || !/problem/.test(answer.headers.get("Content-Type"))) return answer.status === 401;
    const { type, code } = await answer.clone().json().catch(() => ({}));
    return !ours(type) || code === "invalid_token" || code === "not_signed_in";
  }

  async #refreshing(send) {
    const before = await this.#read();
    const answer = await send(before);
    if (!before || !(await this.#stale(answer))) return answer;
    const now = await this.#refresh(before);
    return now ? send(now) : answer;
  }

  // One tab refreshes; whoever waited finds another `n`. An answer that is lost is asked for again with the same token, which
  // Gatehouse tells from a theft. Only Gatehouse's own word ends the session here: no network trouble does, and no gateway's 401.
  #refresh(before) {
    return this.#alone(async () => {
      const now = await this.#read();
      if (!now || now.n !== before.n) return now;
      const until = Date.now() + this.#o.patience * 1000;
      for (let wait = 100; ; wait = Math.min(wait * 2, 5000)) {
        let last;
        try {
          const body = now.refresh ? { refresh_token: now.refresh } : {};
          const next = this.#session(await this.#value(await this.#send("/v1/token/refresh", { body, session: { csrf: now.csrf } })));
          await this.#store.set(next);
          return next;
        } catch (e) {
          if (ours(e.problem?.type) && (e.status === 401 || e.code === "csrf_token_required")) {
            await this.#keep(null);
            return null;
          }
          if (e.status && e.status !== 429 && e.status < 500) throw e;
          last = e;
        }
        if (Date.now() + wait > until) throw last;
        await sleep(wait * (0.5 + Math.random() / 2));
      }
    });
  }

  /**
   * As fetch, with the session: the access token in bearer mode, and the cookies' token in cookie mode. Only Gatehouse, this page's
   * origin and `origins` ever get them. After a 401 it refreshes, once for all tabs, and asks again.
   */
  async fetch(input, init) {
    const request = new Request(typeof input === "string" ? new URL(input, globalThis.location?.href || this.#o.url) : input, init);
    const { origin } = new URL(request.url);
    if (!this.#o.origins.has(origin)) return this.#o.fetch(request);
    return this.#refreshing((session) => {
      const again = request.clone();
      if (session?.access) again.headers.set("Authorization", `Bearer ${session.access}`);
      const csrf = this.#csrf(session);
      if (csrf && origin === this.#o.url && !safe(again.method)) again.headers.set("X-CSRF-Token", csrf);
      return this.#o.fetch(this.#o.mode === "cookies" ? new Request(again, { credentials: "include" }) : again);
    });
  }

  // A call that may end a sign-in: { step: "done" }, or which step is next, with what the answer says of it.
  async #step(path, body = {}) {
    if (this.#pending) body.pending_token = this.#pending;
    if (this.#o.mode === "cookies") body.cookies = true;
    try {
      const send = (session) => this.#send(path, { body, session });
      const ours = path.startsWith("/v1/factors") && !this.#pending; // by a session, which may need a refresh
      const t = await this.#value(await (ours ? this.#refreshing(send) : send(await this.#read())));
      if (t?.session_id) {
        this.#pending = undefined;
        await this.#alone(() => this.#keep(this.#session(t)));
      }
      return { step: "done", recoveryCodes: t?.recovery_codes, recoveryCodesLeft: t?.recovery_codes_left };
    } catch (e) {
      if (!steps[e.code]) throw e;
      this.#pending = e.problem.pending_token;
      return { step: steps[e.code], ...e.problem };
    }
  }

  #wait(body = {}) { return this.#pending ? { ...body, pending_token: this.#pending } : body; }

  register(email, password, more) { return this.call("POST", "/v1/register", { email, password, ...more }); }
  signIn(email, password) { this.#pending = undefined; return this.#step("/v1/login", { email, password }); }
  showCode(code) { return this.#step("/v1/login/factor", { code }); }
  showRecoveryCode(code) { return this.#step("/v1/login/factor", { recovery_code: code }); }
  skipFactor() { return this.#step("/v1/login/factor", { skip: true }); }
  agree(agreed, language) { return this.#step("/v1/login/agree", { agreed, language }); }

  async signInWithPasskey(options) {
    this.#pending = undefined;
    return this.#step("/v1/login/passkey", { credential: await this.#passkey("get", "/v1/login/passkey/options", options) });
  }
  async showPasskey() { return this.#step("/v1/login/factor", { passkey: await this.#passkey("get", "/v1/login/factor/options") }); }
  async addPasskey({ name, mailCode } = {}) {
    const credential = await this.#passkey("create", "/v1/factors/passkeys/options");
    return this.#step("/v1/factors/passkeys", { credential, name, ...this.#coded({ mail_code: mailCode }) });
  }
  async #passkey(what, path, options) {
    const { publicKey } = await this.call("POST", path, this.#wait());
    const parse = what === "get" ? "parseRequestOptionsFromJSON" : "parseCreationOptionsFromJSON";
    return (await navigator.credentials[what]({ ...options, publicKey: PublicKeyCredential[parse](publicKey) })).toJSON();
  }

  // A code of a mail goes with the request that had it sent.
  #coded(body) { return body.code || body.mail_code ? { request: this.#request, ...body } : body; }

  factors() { return this.call("GET", "/v1/factors"); }
  mailFactorCode() { return this.call("POST", "/v1/factors/mail-code", this.#wait()); }
  offerApp() { return this.call("POST", "/v1/factors/totp", this.#wait()); }
  confirmApp(code, { mailCode } = {}) { return this.#step("/v1/factors/totp/confirm", this.#coded({ code, mail_code: mailCode })); }
  removeApp() { return this.call("DELETE", "/v1/factors/totp", {}); }
  removePasskey(id) { return this.call("DELETE", `/v1/factors/passkeys/${encodeURIComponent(id)}`, {}); }
  newRecoveryCodes() { return this.call("POST", "/v1/factors/recovery-codes"); }

  /** The account, if somebody is signed in, also on Gatehouse's own pages; else null. For when a page loads. */
  async resume() {
    const csrf = this.#csrf();
    if (!(await this.#read())) {
      if (!csrf) return null;
      await this.#keep({ n: some(), csrf });
    }
    return this.me().catch((e) => {
      if (e.status !== 401 || this.signedIn) throw e;
      return null;
    });
  }
  me() { return this.call("GET", "/v1/me"); }
  verifyEmail(proof) { return this.call("POST", "/v1/email/verify", this.#coded(proof)); }
  forgotPassword(email) { return this.call("POST", "/v1/password/forgot", { email }); }
  resetPassword(password, proof) { return this.call("POST", "/v1/password/reset", this.#coded({ ...proof, new_password: password })); }
  changePassword(from, to) { return this.call("POST", "/v1/password/change", { current_password: from, new_password: to }); }

  /** Ends the session, and tells all tabs, even if Gatehouse can't be reached: then it throws after that. */
  signOut() {
    return this.#alone(async () => {
      const session = await this.#read();
      await this.#keep(null);
      await this.#value(await this.#send("/v1/logout", { body: session?.refresh ? { refresh_token: session.refresh } : undefined, session: { csrf: session?.csrf } }));
    });
  }
  async signOutEverywhere({ keepCurrent = false } = {}) {
    await this.call("POST", "/v1/logout-all", { keep_current: keepCurrent });
    if (!keepCurrent) await this.#alone(() => this.#keep(null));
  }
}
