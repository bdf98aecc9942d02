// A form that has an answer for an application goes there by itself.
document.querySelector("form[data-send]")?.requestSubmit();
