// What script adds to every page. Each works without it.
const all = (s, of = document) => [...of.querySelectorAll(s)];
const lang = document.documentElement.lang + "-u-nu-latn";

// Show a password, and say that Caps Lock is on. The server sends both hidden.
for (const b of all("[data-show]")) {
  const field = document.getElementById(b.dataset.show);
  b.hidden = false;
  const flip = (show) => {
    if (show === (field.type === "text")) return;
    field.type = show ? "text" : "password";
    [b.textContent, b.dataset.other] = [b.dataset.other, b.textContent];
  };
  b.addEventListener("click", () => {
    flip(field.type === "password");
    field.focus();
  });
  field.form?.addEventListener("submit", () => flip(false));
  const caps = field.closest(".field").querySelector("[data-caps]");
  if (caps) field.addEventListener("keyup", (e) => { caps.hidden = !e.getModifierState?.("CapsLock"); });
}

// A form that is on its way says so, and is sent once. Back finds it as it was.
addEventListener("submit", (e) => {
  const b = e.submitter;
  if (!b || e.target.method === "get") return;
  if (b.ariaBusy === "true" || b.ariaDisabled === "true") e.preventDefault();
  else b.ariaBusy = "true";
});
addEventListener("pageshow", (e) => { if (e.persisted) for (const b of all(".btn[aria-busy]")) b.ariaBusy = null; });

// What is left of a wait, counted from the server's seconds: the clock here may be wrong.
for (const s of all("[data-seconds]")) {
  const end = performance.now() + 1000 * s.dataset.seconds;
  const words = (n, unit) => new Intl.NumberFormat(lang, { style: "unit", unit, unitDisplay: "long" }).format(n);
  const tick = () => {
    const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
    const now = left > 5400 ? words(Math.ceil(left / 3600), "hour") : left > 60 ? words(Math.ceil(left / 60), "minute") : words(left, "second");
    if (s.textContent !== now) s.textContent = now;
    if (left) setTimeout(tick, left > 60 ? 5000 : 1000);
    else for (const b of all("main .btn[aria-disabled]")) b.ariaDisabled = null;
  };
  s.closest("[role=alert]")?.removeAttribute("role"); // it has been read; the count need not be
  tick();
}

// Copy what stands beside the button.
for (const b of all("[data-copy]")) b.addEventListener("click", async () => {
  await navigator.clipboard.writeText(document.getElementById(b.dataset.copy).textContent.trim());
  const was = [...b.childNodes];
  b.replaceChildren(b.dataset.done);
  setTimeout(() => b.replaceChildren(...was), 1500);
});

// Print this page.
for (const b of all("[data-print]")) { b.hidden = false; b.addEventListener("click", () => print()); }

// Codes: spaces that were pasted go, and small letters are as good as capitals.
for (const f of all(".in.code")) f.addEventListener("input", () => { f.value = f.value.replace(/\s/g, "").toUpperCase(); });

// Times in the person's own zone. The desk stays in UTC.
for (const t of all("body:not(.desk) time[datetime]")) {
  const at = new Date(t.dateTime);
  const day = new Date(at).setHours(0, 0, 0, 0), today = new Date().setHours(0, 0, 0, 0);
  const clock = new Intl.DateTimeFormat(lang, { timeStyle: "short" }).format(at);
  const near = Math.round((day - today) / 864e5);
  const word = new Intl.RelativeTimeFormat(lang, { numeric: "auto" }).format(near, "day");
  t.textContent = near > -2 && near < 1 ? word + ", " + clock : new Intl.DateTimeFormat(lang, { dateStyle: "long", timeStyle: "short" }).format(at);
}
