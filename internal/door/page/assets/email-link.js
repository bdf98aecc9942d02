// Moves the token from the link's fragment into the form, and out of the
// address bar and the history. With it nothing has to be typed.
const field = document.getElementById("token");
if (field && location.hash.length > 1) {
  field.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}
if (field?.value) {
  field.parentElement.hidden = true;
  document.getElementById("by-code")?.remove();
}
