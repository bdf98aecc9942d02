// Moves the token of an email's link from the address bar and the history into the form. With it nothing
// has to be typed.
const field = document.getElementById("token");
if (field && location.hash.length > 1) {
  let token = location.hash.slice(1);
  try {
    token = decodeURIComponent(token);
  } catch {
    // A mail program has mangled it: the page says so, once it is sent.
  }
  field.value = token;
  history.replaceState(null, "", location.pathname + location.search);
}
if (field?.value) {
  document.getElementById("by-token").hidden = true;
  const codes = document.getElementById("by-code");
  const email = document.getElementById("email");
  if (codes && email?.value && document.getElementById("new_password")) {
    // Password managers save the new password for this address.
    codes.replaceChildren(email);
    email.hidden = codes.hidden = true;
  } else {
    codes?.remove();
  }
  if (!document.querySelector("[autofocus]")) document.querySelector("main input:not([type=hidden], [hidden], [hidden] *)")?.focus();
}
