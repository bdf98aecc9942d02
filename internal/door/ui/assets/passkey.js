// Passkeys: the browser asks for one, and its answer goes with the form. Where it knows none, the form stays hidden
// and the page shows its other ways.
const agent = globalThis.PublicKeyCredential;
const forms = [...document.querySelectorAll("form[data-passkey]")].filter(() => agent?.parseRequestOptionsFromJSON);
let asking; // what the browser is asked for now: it takes one question at a time

// ask has the browser answer the server's options, and sends the form. Where the server has none to give, the form is
// sent without an answer, and the page says why.
const ask = async (form, mediation) => {
  const { passkey, making } = form.dataset, { passkey: answer, csrf_token: csrf } = form.elements;
  asking?.abort();
  const { signal } = asking = new AbortController();
  const headers = { "Content-Type": "application/json" };
  if (csrf) headers["X-CSRF-Token"] = csrf.value;
  const got = await fetch(passkey, { method: "POST", body: "{}", headers, signal });
  if (!got.ok && mediation) return;
  if (got.ok) {
    const { publicKey } = await got.json();
    const credential = making
      ? await navigator.credentials.create({ publicKey: agent.parseCreationOptionsFromJSON(publicKey), signal })
      : await navigator.credentials.get({ publicKey: agent.parseRequestOptionsFromJSON(publicKey), signal, mediation });
    answer.value = JSON.stringify(credential);
  }
  form.submit();
};

for (const form of forms) {
  form.hidden = false;
  const button = form.querySelector("button"), said = form.querySelector("[role=alert]");
  // Passkeys among the suggestions for the name. The challenge is good for ten minutes, so it is asked for anew.
  const suggest = async () => {
    if (!("autofill" in form.dataset) || !await agent.isConditionalMediationAvailable?.()) return;
    ask(form, "conditional").catch(() => {}); // nobody has asked for anything
  };
  const press = async () => {
    if (!form.reportValidity() || button.ariaBusy === "true") return;
    button.ariaBusy = "true";
    said.hidden = true;
    try {
      await ask(form);
    } catch (e) {
      button.ariaBusy = null;
      if (e.name === "AbortError") return;
      said.querySelector("span").textContent = e.name === "InvalidStateError" ? said.dataset.known : said.dataset.none;
      said.hidden = false;
      suggest();
    }
  };
  form.addEventListener("submit", (e) => { e.preventDefault(); press(); });
  addEventListener("pageshow", (e) => { if (e.persisted) { button.ariaBusy = null; suggest(); } });
  setInterval(() => { if (button.ariaBusy !== "true") suggest(); }, 8 * 60 * 1000);
  suggest();
}
