"""The bodies of answers: those of OpenAI's API, each with a field `trimtab` that says what the steering did."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from trimtab.interventions import Scope

Finished = Literal["stop", "length"]
ChatFinished = Literal["stop", "length", "tool_calls"]


class Answered(BaseModel):
    """Base."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ErrorDetail(Answered):
    """What is wrong.

    Args:
        message: what it is, and what to do.
        type: of what kind, by the status.
        param: the field that is wrong.
        code: a word that stays the same when the message is put better.
    """

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(Answered):
    """The body of every error."""

    error: ErrorDetail


class Usage(Answered):
    """Tokens of the prompts and of all choices; those of an unsteered answer beside are counted there."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ExplainedToken(Answered):
    """What was done to one token of prompt or answer.

    Args:
        token: its id.
        text: its letters, where the server has the vocabulary.
        selected: whether it was in scope.
        gates: by attribute, from 0 (shut) to 1.
        edit_size_ratio: ‖f(h) − h‖ / ‖h‖ at the site where it is largest.
    """

    token: int
    text: str | None
    selected: bool
    gates: dict[str, float]
    edit_size_ratio: float


class ExplainedChoice(Answered):
    """The tokens of one choice, prompt first; in a stream, the next of them."""

    index: int
    tokens: list[ExplainedToken]


class UnsteeredChoice(Answered):
    """The same request without steering; in a stream, its next piece.

    Args:
        index: of the choice that it is to be compared with.
        text: of the answer.
        completion_tokens: how many it has.
        finish_reason: why it ended; None while it goes on.
    """

    index: int
    text: str
    completion_tokens: int
    finish_reason: Finished | None


def _absent(value: object) -> bool:
    return value is None


Fact = TypeVar("Fact")
Said = Annotated[Fact | None, Field(default=None, exclude_if=_absent)]
"""Left out where there is nothing to say."""


class Applied(Answered):
    """What was applied, and what it did; figures are over the tokens of all choices.

    Args:
        request_id: by which logs know the request.
        steering: its name; None where the model was left as it is.
        artifact: its id.
        strength: by attribute.
        scope: which tokens were edited.
        decisions: what the check of each attribute came to; None where there was none.
        selected: number of tokens in scope.
        touched: how many of them were changed; null where the engine does not measure it, as vLLM.
        gates: mean over the selected tokens, by attribute with gates.
        edit_size_ratio: mean over the selected tokens of ‖f(h) − h‖ / ‖h‖; null likewise.
        left_alone: attributes that did not act, since the prompt does not meet their condition.
        departures: how the request differs from what was checked.
        explained: by choice and token, if asked for.
        unsteered: the answers without steering, if asked for.
        release, version: the release that decided, and of which state; left out where none did.
        arm: of the release (control, treatment, or one of several by name), in a dry run the one that it would have
            been; `named` where the request names its steering, `none` where nothing decided; left out by a server
            without a store.
        dry_run: whether control was applied whatever the arm; left out where no release decided.
        propensity: probability by which the arm was drawn; left out but for releases with several arms.
    """

    request_id: str
    steering: str | None = None
    artifact: str | None = None
    strength: dict[str, float] = {}
    scope: Scope | None = None
    decisions: dict[str, str | None] = {}
    selected: int = 0
    touched: int | None = 0
    gates: dict[str, float] = {}
    edit_size_ratio: float | None = 0.0
    left_alone: list[str] = []
    departures: list[str] = []
    explained: list[ExplainedChoice] | None = None
    unsteered: list[UnsteeredChoice] | None = None
    release: Said[str]
    version: Said[int]
    arm: Said[str]
    dry_run: Said[bool]
    propensity: Said[float]


class Piece(Answered):
    """What streams say before their end: the next tokens explained, and the next of the unsteered answers."""

    request_id: str
    explained: list[ExplainedChoice] | None = None
    unsteered: list[UnsteeredChoice] | None = None


class TopLogprob(Answered):
    """A token that might have come, with its log-probability in nats and the bytes of its text."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogprob(TopLogprob):
    """A token of the answer, and the likeliest in its place."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(Answered):
    """Log-probabilities of a chat's answer under the steered model."""

    content: list[TokenLogprob]
    refusal: None = None


class Called(Answered):
    """A function's name and its arguments in JSON; these are cut off where an answer ends at its length."""

    name: str
    arguments: str


class ToolCall(Answered):
    """A call that the model makes."""

    id: str
    type: Literal["function"] = "function"
    function: Called


class AnswerMessage(Answered):
    """The model's turn: text, or a call."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: list[ToolCall] | None = None


class ChatChoice(Answered):
    """One answer to a chat."""

    index: int
    message: AnswerMessage
    logprobs: ChatLogprobs | None
    finish_reason: ChatFinished
    token_ids: Said[list[int]]


class Chat(Answered):
    """The answer of `POST /v1/chat/completions`."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage
    trimtab: Applied


class Added(Answered):
    """Base of what clients add to what came before: a field without anything to add is left out, not null."""

    @model_serializer(mode="wrap")
    def _without_nulls(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


class CalledPiece(Added):
    """The name, at first, and the next piece of the arguments."""

    name: str | None = None
    arguments: str


class ToolCallPiece(Added):
    """The next piece of a call; what it is called stands in the first."""

    index: int = 0
    id: str | None = None
    type: Literal["function"] | None = None
    function: CalledPiece


class Delta(Added):
    """The next piece of an answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    tool_calls: list[ToolCallPiece] | None = None


class ChunkChoice(Answered):
    """The next piece of one choice."""

    index: int
    delta: Delta
    logprobs: ChatLogprobs | None = None
    finish_reason: ChatFinished | None = None
    token_ids: Said[list[int]]


class ChatChunk(Answered):
    """An event of a streamed chat."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    trimtab: Applied | Piece | None = None


class CompletionLogprobs(Answered):
    """Log-probabilities of a completion's tokens, as lists side by side; `text_offset` counts characters."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class CompletionChoice(Answered):
    """One continuation of a prompt, or its next piece."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: Finished | None = None
    token_ids: Said[list[int]]


class Completion(Answered):
    """The answer of `POST /v1/completions`, and each event of a stream."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None
    trimtab: Applied | Piece | None = None
