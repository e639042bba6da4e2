"""The bodies of requests. A field that is not here is refused by name; null stands for the default."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from trimtab.errors import InputError
from trimtab.interventions import Scope
from trimtab.texts import checked_text


def _text(value: str) -> str:
    try:
        return checked_text(value, "this text", "text")
    except InputError:
        raise ValueError("a text must not hold a NUL byte or half a surrogate pair; remove it") from None


Text = Annotated[str, AfterValidator(_text)]
Name = Annotated[Text, Field(min_length=1, max_length=300)]
TokenId = Annotated[int, Field(ge=0, le=2**31 - 1)]
BiasedToken = Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
Bias = Annotated[float, Field(ge=-100, le=100)]
Biases = Annotated[dict[BiasedToken, Bias], Field(json_schema_extra={"additionalProperties": False})]
FunctionName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
PromptText = Annotated[Text, Field(json_schema_extra={"minLength": 1})]  # refused later, in words of its own
Stop = Annotated[Text, Field(min_length=1, max_length=1000)]


class Asked(BaseModel):
    """Base: unknown fields are errors, and a number is no text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class AskedSteering(Asked):
    """How a request is steered.

    Args:
        name: of the steering; may also stand in the model, as `model@name`.
        strength: a number for every attribute, the name of a preset, or a number by attribute, with defaults for those
            left out; by default the strengths that were checked.
        scope: which tokens are edited; by default those of the check.
        explain: also say of each token what was done to it.
        compare: also return the answer of the unsteered model.
    """

    name: Name | None = None
    strength: float | Name | dict[str, float] | None = None
    scope: Scope | None = None
    explain: bool = False
    compare: bool = False


class StreamOptions(Asked):
    """How an answer is streamed.

    Args:
        include_usage: end with a chunk that counts tokens.
    """

    include_usage: bool | None = None


class PlainText(Asked):
    """Any text."""

    type: Literal["text"]


class JsonObject(Asked):
    """Some JSON object.

    Args:
        value: a JSON schema that it fits; Hugging Face's client sends every schema here.
    """

    type: Literal["json_object"]
    value: dict[str, Any] | None = None


class JsonSchema(Asked):
    """A schema by its name.

    Args:
        name: for messages.
        definition: `schema` in the body: the JSON schema.
        strict: answers fit the schema either way.
    """

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    definition: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class JsonBySchema(Asked):
    """JSON that fits a schema."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


class Generation(Asked):
    """What chats and completions share.

    `return_token_ids` has answers hold the ids of their tokens beside the text, and `return_tokens_as_token_ids` has
    log-probabilities name tokens as `token_id:7`, as vLLM has both: for servers in front of this one.
    """

    model: Name
    n: Annotated[int, Field(ge=1)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    logit_bias: Biases | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Annotated[Text, Field(max_length=200)] | None = None
    return_token_ids: bool | None = None
    return_tokens_as_token_ids: bool | None = None
    steering: AskedSteering | None = None


class TextPart(Asked):
    """A piece of a turn; only text is understood."""

    type: Literal["text"]
    text: Text


class AskedCall(Asked):
    """A function's name and arguments, as the model wrote them."""

    name: FunctionName
    arguments: Text


class MadeCall(Asked):
    """A call that the model made in an earlier turn."""

    id: Name
    type: Literal["function"]
    function: AskedCall


class Turn(Asked):
    """A turn of a chat; `developer` counts as `system`.

    Args:
        role: who speaks.
        content: what is said; may be null where the assistant calls a function.
        tool_calls: of the assistant.
        tool_call_id: which call a `tool` answers.
    """

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | Annotated[list[TextPart], Field(min_length=1)] | None = None
    tool_calls: Annotated[list[MadeCall], Field(min_length=1)] | None = None
    tool_call_id: Name | None = None

    @model_validator(mode="after")
    def _spoken(self) -> Self:
        if self.content is None and not self.tool_calls:
            raise ValueError("content is missing")
        if self.tool_calls and self.role != "assistant":
            raise ValueError("tool_calls belong to the role assistant")
        if (self.tool_call_id is None) == (self.role == "tool"):
            raise ValueError("tool_call_id belongs to the role tool, which needs it")
        return self


class Function(Asked):
    """A function that the model may call.

    Args:
        name: of the function.
        description: what it does, for the model.
        parameters: a JSON schema; without one it takes none.
        strict: calls fit the schema either way.
    """

    name: FunctionName
    description: Text | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(Asked):
    """A tool; functions are the only kind."""

    type: Literal["function"]
    function: Function


class FunctionChoice(Asked):
    """A function by its name."""

    name: FunctionName


class ToolChoice(Asked):
    """The function that must be called."""

    type: Literal["function"]
    function: FunctionChoice


class StructuredOutputs(Asked):
    """What holds an answer, as vLLM has it.

    Args:
        grammar: in the Lark syntax of llguidance.
    """

    grammar: Annotated[Text, Field(min_length=1)]


class ChatRequest(Generation):
    """The body of `POST /v1/chat/completions`; an answer calls one function at most.

    `structured_outputs` holds the answer to a grammar, as vLLM has it: for servers in front of this one.
    """

    messages: Annotated[list[Turn], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: Annotated[PlainText | JsonObject | JsonBySchema, Field(discriminator="type")] | None = None
    structured_outputs: StructuredOutputs | None = None
    tools: Annotated[list[Tool], Field(min_length=1, max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: Literal[False] | None = None


class CompletionRequest(Generation):
    """The body of `POST /v1/completions`; several prompts are answered one by one, each `n` times."""

    prompt: (
        PromptText
        | Annotated[list[TokenId], Field(min_length=1)]
        | Annotated[list[PromptText], Field(min_length=1)]
        | Annotated[list[Annotated[list[TokenId], Field(min_length=1)]], Field(min_length=1)]
    )
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
