// The key that a server asks for, and the errors that the page tells.

import { element } from "./elements.js";
import { said, t } from "./language.js";
import { RequestError } from "./requests.js";

const KEY = "trimtab-api-key"; // in the tab's own storage, which ends with the tab
const NO_KEY = 401;

/** The key of the tab. */
export class Access {
  /**
   * @param {Element} place Of the form.
   * @param {Element} faults Where errors are told.
   * @param {() => void} changed Is told of another key.
   */
  constructor(place, faults, changed) {
    this.key = sessionStorage.getItem(KEY) ?? "";
    this.keyed = this.key !== "";
    this.faults = faults;
    this.error = null;
    this.field = element("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false", "aria-describedby": "key-hint" });
    const [label, hint] = [element("label", { for: "key" }), element("p", { id: "key-hint", class: "quiet" })];
    this.owner = element("span", { class: "owner" });
    const [use, forget] = [element("button", { type: "submit" }), element("button", { type: "button", id: "forget" })];
    this.form = element("form", { id: "access", class: "access", hidden: true }, label, this.owner, this.field, use, forget, hint);
    this.texts = [[label, "key"], [use, "key.use"], [forget, "key.forget"], [hint, "key.hint"]];
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.use(this.field.value.trim(), changed);
    });
    forget.addEventListener("click", () => this.use("", changed));
    place.replaceChildren(this.form);
    this.draw();
  }

  use(given, changed) {
    this.key = given;
    if (given) sessionStorage.setItem(KEY, given);
    else sessionStorage.removeItem(KEY);
    this.field.value = "";
    changed();
  }

  /** Says whose key is in use, instead of asking for one; null asks again. @param {?Node[]} words */
  own(words) {
    this.owner.replaceChildren(...(words ?? []));
    this.form.classList.toggle("owned", words !== null);
  }

  /** Shows the form if the server asks for keys, and all texts in the page's language. */
  draw() {
    this.form.hidden = !this.keyed;
    this.form.setAttribute("aria-label", t("key.form"));
    for (const [part, key] of this.texts) part.textContent = t(key);
    if (this.error) this.tell(this.error);
  }

  /** Tells an error, until `clear`. */
  tell(error) {
    if (!(error instanceof RequestError)) throw error;
    this.error = error;
    if (error.status === NO_KEY) this.keyed = true;
    const id = error.id && !error.message.includes(error.id) ? ` ${t("error.request", { id: error.id })}` : "";
    const message = error.own ? said(error.message, "span", { lang: "en" }) : error.message;
    this.faults.replaceChildren(
      element("strong", {}, error.title),
      element("p", {}, message, id),
      ...(error.advice ? [element("p", {}, error.advice)] : []),
    );
    this.form.hidden = !this.keyed;
  }

  clear() {
    this.error = null;
    this.faults.replaceChildren();
  }
}
