"""What is asked and answered over HTTP, as OpenAI's API has it, with steering beside it."""

from trimtab.serving.protocol.answers import Applied as Applied
from trimtab.serving.protocol.answers import Chat as Chat
from trimtab.serving.protocol.answers import ChatChunk as ChatChunk
from trimtab.serving.protocol.answers import Completion as Completion
from trimtab.serving.protocol.answers import ErrorBody as ErrorBody
from trimtab.serving.protocol.requests import AskedSteering as AskedSteering
from trimtab.serving.protocol.requests import ChatRequest as ChatRequest
from trimtab.serving.protocol.requests import CompletionRequest as CompletionRequest
