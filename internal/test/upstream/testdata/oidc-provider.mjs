// A certified provider that nobody here wrote, with one client: whoever signs in is who they say they are.
import Provider from "oidc-provider";

const [issuer, redirect] = process.argv.slice(2);
const provider = new Provider(issuer, {
  clients: [{ client_id: "gatehouse", client_secret: "the client's secret", redirect_uris: [redirect] }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
  pkce: { required: () => true },
  cookies: { keys: ["one key for a test"] },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({ sub, email: sub, email_verified: true, name: "Bob" }),
  }),
});
provider.listen(new URL(issuer).port, "127.0.0.1", () => console.log("ready"));
