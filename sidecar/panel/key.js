// Asks for the API key. It stays in the memory of this page, and is gone when the page is.

import { byId, el } from "./dom.js";

let asking = null;
let declined = false;

// The key that a person gives, or null. Requests that wait at the same time share one question.
export function askKey(wasWrong) {
  if (declined) return Promise.resolve(null);
  asking ??= ask(wasWrong).finally(() => {
    asking = null;
  });
  return asking;
}

function ask(wasWrong) {
  const dialog = byId("key");
  const input = el("input", { id: "key-text", type: "password", autocomplete: "off" });
  let given = null;
  return new Promise((resolve) => {
    const give = (event) => {
      event.preventDefault();
      given = input.value.trim() || null;
      dialog.close("given");
    };
    dialog.replaceChildren(
      el("h2", { id: "key-title" }, "API key"),
      el("p", {}, wasWrong ? "The sidecar rejected this key." : "The sidecar asks for its API key: the content of the file of --api-key-file."),
      el("form", { onsubmit: give }, el("label", { for: "key-text" }, "Key "), input,
        el("div", { class: "tools" }, el("button", { type: "submit", class: "first" }, "Use the key"),
          el("button", { type: "button", onclick: () => dialog.close() }, "Cancel"))));
    dialog.addEventListener("close", () => {
      // The button asks again; the page itself does not, or it would do so every two seconds.
      declined = dialog.returnValue !== "given";
      const button = byId("give-key");
      button.hidden = !declined;
      button.onclick = () => {
        declined = false;
        button.hidden = true;
      };
      // Here alone: a question that begins before the event of the last one has come would be ended by it.
      resolve(given);
    }, { once: true });
    dialog.returnValue = "";
    dialog.showModal();
    input.focus();
  });
}
