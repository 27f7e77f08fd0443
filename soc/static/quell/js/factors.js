// Security keys: a form with data-security-key asks the browser for one and sends what it answered. The
// options come as WebAuthn's JSON, in which bytes are base64url.
const bytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (character) => character.charCodeAt(0));

const text = (buffer) =>
  buffer &&
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

const known = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

async function ask(kind, options) {
  const publicKey = { ...options, challenge: bytes(options.challenge) };
  if (kind === "create") {
    publicKey.user = { ...options.user, id: bytes(options.user.id) };
    publicKey.excludeCredentials = known(options.excludeCredentials);
    return navigator.credentials.create({ publicKey });
  }
  publicKey.allowCredentials = known(options.allowCredentials);
  return navigator.credentials.get({ publicKey });
}

const plain = (credential) => ({
  id: credential.id,
  rawId: text(credential.rawId),
  type: credential.type,
  clientExtensionResults: credential.getClientExtensionResults(),
  response: {
    clientDataJSON: text(credential.response.clientDataJSON),
    attestationObject: text(credential.response.attestationObject),
    authenticatorData: credential.response.signature && text(credential.response.authenticatorData),
    signature: text(credential.response.signature),
    userHandle: text(credential.response.userHandle),
  },
});

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-security-key]");
  if (!form || form.elements.credential.value) return;
  event.preventDefault();
  const says = form.querySelector("[data-says]");
  says.hidden = true;
  try {
    const credential = await ask(form.dataset.securityKey, JSON.parse(form.dataset.options).publicKey);
    form.elements.credential.value = JSON.stringify(plain(credential));
    form.submit();
  } catch (failure) {
    says.textContent =
      failure.name === "InvalidStateError"
        ? "This key is set up already."
        : "No key answered. Try again, or use another way.";
    says.hidden = false;
  }
});
