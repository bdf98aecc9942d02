// Advice on a new password while it is typed, in the words of the server.
for (const field of document.querySelectorAll("[data-strength]")) {
  const box = field.closest(".field"), advice = box.querySelector("[aria-live]"), meter = box.querySelector(".meter");
  const icon = (name) => { const use = document.querySelector("#" + name); return use ? "#" + name : ""; };
  let wait, asked;
  field.addEventListener("input", () => {
    clearTimeout(wait);
    asked?.abort();
    if (!field.value) { meter.dataset.level = 0; advice.textContent = ""; return; }
    wait = setTimeout(async () => {
      asked = new AbortController();
      try {
        const body = { password: field.value, email: field.form.elements.email?.value ?? field.dataset.about ?? "" };
        const a = await fetch(field.dataset.strength, {
          method: "POST", body: JSON.stringify(body), signal: asked.signal,
          headers: { "Content-Type": "application/json", "Accept-Language": document.documentElement.lang },
        });
        if (!a.ok) return;
        const s = await a.json();
        meter.dataset.level = s.acceptable ? (s.score > 2 ? 3 : 2) : 1;
        const word = document.createElement("strong");
        word.className = ["", "is-bad", "is-warn", "is-good"][meter.dataset.level];
        word.textContent = field.dataset["level" + meter.dataset.level];
        advice.replaceChildren(word, " ", s.advice[s.findings.length] ?? s.advice[0] ?? field.dataset.keep);
        const broken = s.findings.map((f) => f.code);
        for (const li of box.querySelectorAll("[data-code]")) {
          const met = !li.dataset.code.split(" ").some((c) => broken.includes(c));
          li.querySelector(".i").setAttribute("class", met ? "i is-good" : "i is-bad");
          li.querySelector("use").setAttribute("href", icon(met ? "check" : "cross"));
          li.querySelector(".say").textContent = met ? li.dataset.met : li.dataset.unmet;
        }
      } catch (e) { if (e.name !== "AbortError") meter.dataset.level = 0; }
    }, 250);
  });
}
