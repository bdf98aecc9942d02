// New events come into the list as they happen. It waits while the pointer is over the list or something in it
// has the focus, and keeps 200 rows.
const button = document.querySelector("[data-events]"), body = document.querySelector("main table tbody");
if (button && body) {
  let source, over = false, held = [];
  const say = (on) => {
    button.ariaPressed = String(on);
    button.querySelector("span").textContent = on ? button.dataset.on : button.dataset.off;
  };
  const put = () => {
    if (over || body.contains(document.activeElement)) return;
    for (const row of held.splice(0)) {
      const parsed = new DOMParser().parseFromString("<table><tbody>" + row + "</tbody></table>", "text/html").querySelector("tr");
      if (parsed) body.prepend(document.adoptNode(parsed));
    }
    while (body.rows.length > 200) body.lastElementChild.remove();
  };
  const start = () => {
    source = new EventSource(button.dataset.events);
    source.onmessage = (e) => { held.push(e.data); put(); };
    say(true);
  };
  body.addEventListener("pointerenter", () => { over = true; });
  body.addEventListener("pointerleave", () => { over = false; put(); });
  body.addEventListener("focusout", () => setTimeout(put));
  button.hidden = false;
  button.addEventListener("click", () => {
    if (source) { source.close(); source = undefined; say(false); } else start();
  });
  start();
}
