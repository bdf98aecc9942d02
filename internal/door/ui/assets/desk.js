// What script adds to the console. Each page works without it.

// Search as you type: the same page, asked again, and its list put in place of this one.
for (const f of document.querySelectorAll("[data-live]")) {
  let wait, asked;
  f.addEventListener("input", () => {
    clearTimeout(wait);
    wait = setTimeout(async () => {
      asked?.abort();
      asked = new AbortController();
      const list = document.querySelector("main > .card");
      list.ariaBusy = "true";
      try {
        const url = f.form.action + "?" + new URLSearchParams(new FormData(f.form));
        const page = new DOMParser().parseFromString(await (await fetch(url, { signal: asked.signal })).text(), "text/html");
        list.replaceWith(page.querySelector("main > .card"));
        history.replaceState(null, "", url);
      } catch (e) { if (e.name !== "AbortError") f.form.submit(); }
    }, 150);
  });
}

// A confirmation is modal; without script it is a page of its own.
for (const d of document.querySelectorAll("dialog[open]")) { d.close(); d.showModal(); }

// An application's settings, which say nothing of people, stay in this tab while a sign-in that is too old is made
// anew. It leads back here, to "?kept".
const path = (f) => f.getAttribute("action"), forms = [...document.querySelectorAll("form[data-keep]")];
for (const f of forms) f.addEventListener("submit", () => { sessionStorage.kept = path(f) + "?" + new URLSearchParams(new FormData(f)); });
const [from, typed] = (sessionStorage.kept ?? "").split("?");
delete sessionStorage.kept;
const back = location.search === "?kept" && forms.find((f) => path(f) === from), values = new URLSearchParams(typed);
for (const e of back?.elements ?? []) if (values.has(e.name) && e.name !== "csrf_token") e.value = values.get(e.name);

// "/" goes to the search, "?" to the help.
addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName)) return;
  const to = [...document.querySelectorAll("[data-key]")].find((k) => k.dataset.key === e.key);
  if (!to) return;
  e.preventDefault();
  if (to.tagName === "A") to.click(); else to.focus();
});
