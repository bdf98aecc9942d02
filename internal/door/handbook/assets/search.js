// The search: every section that has all the words, those first that have them in their headings. Without script the page lists all sections.
const results = document.getElementById("results"), count = document.getElementById("count"), field = document.getElementById("q");
const fold = text => text.toLowerCase();
const folded = sections.map(s => ({section: s, head: fold(s.s + " " + s.p), text: fold(s.t)}));

// around is the text next to the first word that was found.
function around(text, word) {
  const at = Math.max(0, fold(text).indexOf(word));
  return (at > 60 ? "…" : "") + text.slice(Math.max(0, at - 60), at + 160) + (at + 160 < text.length ? "…" : "");
}

function search(query) {
  const words = fold(query).split(/\s+/).filter(w => w);
  if (!words.length) return;
  const score = f => words.reduce((sum, w) => f.head.includes(w) ? sum + 10 : f.text.includes(w) ? sum + 1 : -Infinity, 0);
  const list = folded.map(f => [score(f), f.section]).filter(([n]) => n > 0).sort((a, b) => b[0] - a[0]).slice(0, 100);
  results.replaceChildren(...list.map(([, s]) => {
    const item = document.createElement("li"), link = document.createElement("a"), page = document.createElement("span"), text = document.createElement("p");
    link.href = s.u;
    link.textContent = s.s;
    page.textContent = s.s === s.p ? "" : " " + s.p;
    text.textContent = around(s.t, words.find(w => fold(s.t).includes(w)) ?? words[0]);
    item.append(link, page, text);
    return item;
  }));
  count.textContent = list.length ? list.length + (list.length === 100 ? " sections and more" : list.length === 1 ? " section" : " sections") : "Nothing has all of these words.";
}

field.value = new URLSearchParams(location.search).get("q") ?? "";
field.addEventListener("input", () => search(field.value));
search(field.value);
