/** What is asked of the constructor. All of it has defaults. */
export interface Options {
  /** Gatehouse's PUBLIC_URL. The page's own origin if it is left out. */
  url?: string;
  /** `cookies`, the default in browsers: no script can read a token. `bearer`, the default elsewhere. */
  mode?: "cookies" | "bearer";
  /** Further origins that `fetch` gives the access token to, such as that of your API. */
  origins?: string[];
  /** Where the session is kept. IndexedDB in browsers, memory elsewhere. */
  storage?: Store;
  /** For how many seconds a refresh is tried before `fetch` gives up. The session stays. 30. */
  patience?: number;
  /** After how many seconds a request to Gatehouse is given up. 10. */
  timeout?: number;
  /** In the place of the global fetch. */
  fetch?: typeof fetch;
}

export interface Session { n: string; access?: string; refresh?: string; csrf?: string }
export interface Store { get(): Session | null | Promise<Session | null>; set(session: Session | null): unknown }

/** A store that forgets at the end of the page or process. */
export function memory(): Store;

export interface Problem {
  type: string; title: string; status: number; detail: string; code: string; request_id: string; field?: string; tries_left?: number;
}

/** An answer that says no, or none at all: `status` 0, `code` "unreachable", or "not_gatehouse" for a path that leads elsewhere. */
export class GatehouseError extends Error {
  status: number;
  /** Stable: compare this. */
  code: string;
  problem: Partial<Problem>;
}

export interface Document { name: string; version: number; [more: string]: unknown }

/** How far a sign-in is. */
export type Step =
  | { step: "done"; recoveryCodes?: string[]; recoveryCodesLeft?: number }
  /** A second factor is asked for: showCode, showPasskey or showRecoveryCode. */
  | { step: "factor"; factors: ("passkey" | "totp" | "recovery_code")[]; expires_in: number }
  /** A factor must be added: addPasskey, or offerApp and confirmApp; or skipFactor, until may_skip_until. */
  | { step: "enrol"; expires_in: number; may_skip_until?: string }
  /** Documents must be agreed to: agree({terms: 3}). */
  | { step: "agree"; documents: Document[]; expires_in: number; recovery_codes?: string[] };

export interface Mailed { message: string; request: string }
/** What a mail has: the link's token, or the address and its code. */
export type Proof = { token: string; password?: string } | { email: string; code: string; request?: string; password?: string };

/** Tells "signedin" and "signedout", whichever tab it happened in. */
export class Gatehouse extends EventTarget {
  constructor(options?: Options);
  /** As far as this tab knows without asking: after the first call. */
  readonly signedIn: boolean;
  close(): void;

  /** The account, if somebody is signed in; else null. Call it when a page loads. */
  resume(): Promise<Record<string, unknown> | null>;
  register(email: string, password?: string, more?: { agreed?: Record<string, number> }): Promise<Mailed>;
  signIn(email: string, password: string): Promise<Step>;
  showCode(code: string): Promise<Step>;
  showRecoveryCode(code: string): Promise<Step>;
  showPasskey(): Promise<Step>;
  skipFactor(): Promise<Step>;
  agree(agreed: Record<string, number>, language?: string): Promise<Step>;
  /** With `{mediation: "conditional"}` the browser suggests passkeys in a field with autocomplete="username webauthn". */
  signInWithPasskey(options?: CredentialRequestOptions): Promise<Step>;
  /** Tells all tabs, also if Gatehouse can't be reached: then it throws after that. */
  signOut(): Promise<void>;
  signOutEverywhere(options?: { keepCurrent?: boolean }): Promise<void>;

  factors(): Promise<Record<string, unknown>>;
  mailFactorCode(): Promise<Mailed>;
  offerApp(): Promise<{ secret: string; uri: string; expires_in: number; mail_code_needed: boolean }>;
  confirmApp(code: string, options?: { mailCode?: string }): Promise<Step>;
  removeApp(): Promise<void>;
  addPasskey(options?: { name?: string; mailCode?: string }): Promise<Step>;
  removePasskey(id: string): Promise<void>;
  newRecoveryCodes(): Promise<{ recovery_codes: string[] }>;

  me(): Promise<Record<string, unknown>>;
  verifyEmail(proof: Proof): Promise<unknown>;
  forgotPassword(email: string): Promise<Mailed>;
  resetPassword(password: string, proof: Proof): Promise<unknown>;
  changePassword(from: string | undefined, to: string): Promise<void>;

  /** As the global fetch, with the session: see README.md. */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /** Any other operation of /openapi.json. */
  call(method: string, path: string, body?: unknown): Promise<any>;
}
