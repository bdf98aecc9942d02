// Tells the browser what has become of passkeys: one that was removed is offered no more, and the others are shown with
// the address as it is now. It never tells which passkeys there are: whatever is missing in such a list is deleted on
// people's devices, and a list can be short. Browsers that do not know this go on as they are.
const agent = globalThis.PublicKeyCredential;
const ignored = () => {}; // nothing hangs on it
for (const { dataset: { rp: rpId, gone: credentialId } } of document.querySelectorAll("[data-gone]")) {
  agent?.signalUnknownCredential?.({ rpId, credentialId }).catch(ignored);
}
for (const { dataset: { rp: rpId, user: userId, name, shown: displayName } } of document.querySelectorAll("[data-user]")) {
  agent?.signalCurrentUserDetails?.({ rpId, userId, name, displayName }).catch(ignored);
}
