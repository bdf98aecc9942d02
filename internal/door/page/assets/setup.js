// Moves the token from the link's fragment into the form, and out of the
// address bar and the history.
const field = document.getElementById("token");
if (field && location.hash.length > 1) {
  let token = location.hash.slice(1);
  try {
    token = decodeURIComponent(token);
  } catch {
    // A mail program has mangled it: the page says so, once it is sent.
  }
  field.value = token;
  history.replaceState(null, "", location.pathname);
  document.getElementById("email")?.focus();
}
