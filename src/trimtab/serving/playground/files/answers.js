// Gathers the events of a streamed answer into what was answered, and what the steering did.

/** What has come of an answer so far. */
export class Answer {
  constructor() {
    this.steered = "";
    this.unsteered = "";
    this.tokens = []; // those that were run, the prompt's first
    this.promptTokens = 0;
    this.finish = null;
    this.besideFinish = null;
    this.applied = null;
  }

  /** Takes an event. */
  take(event) {
    for (const choice of event.choices) {
      this.steered += choice.delta?.content ?? choice.text ?? "";
      this.finish = choice.finish_reason ?? this.finish;
    }
    for (const beside of event.trimtab?.unsteered ?? []) {
      this.unsteered += beside.text;
      this.besideFinish = beside.finish_reason ?? this.besideFinish;
    }
    for (const choice of event.trimtab?.explained ?? []) {
      if (!this.tokens.length) this.promptTokens = choice.tokens.length; // until the end says it, which may not come
      this.tokens.push(...choice.tokens);
    }
    if (event.trimtab && "departures" in event.trimtab) this.applied = event.trimtab;
    this.promptTokens = event.usage?.prompt_tokens ?? this.promptTokens;
  }

  /** The prompt's tokens with what was done to them. */
  get ofPrompt() {
    return this.tokens.slice(0, this.promptTokens);
  }

  /** The answer's tokens with what was done to them; its last token is not run, for nothing follows it. */
  get ofAnswer() {
    return this.tokens.slice(this.promptTokens);
  }
}
