"""The tiny random models that the tests of `models` have too."""

from tests.models.conftest import batch_of as batch_of
from tests.models.conftest import plain as plain
from tests.models.conftest import tokenizer as tokenizer
from tests.models.conftest import tokens as tokens
from tests.models.conftest import wrapped as wrapped
