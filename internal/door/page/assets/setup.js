// Moves the token from the link's fragment into the form, and out of the
// address bar and the history.
const field = document.getElementById("token");
if (field && location.hash.length > 1) {
  field.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  document.getElementById("email")?.focus();
}
