// Lets people see the password that they type (ASVS 6.2.6). What is sent, and what
// the browser remembers, is a password field again.
for (const form of document.getElementsByTagName("form")) {
  const fields = form.querySelectorAll('input[type="password"]');
  if (!fields.length) continue;
  const label = document.createElement("label");
  label.className = "check";
  const box = document.createElement("input");
  box.type = "checkbox";
  label.append(box, "Show the password");
  fields[fields.length - 1].closest("label").after(label);
  const show = (yes) => {
    for (const field of fields) field.type = yes ? "text" : "password";
  };
  box.addEventListener("change", () => show(box.checked));
  form.addEventListener("submit", () => show(false));
}
