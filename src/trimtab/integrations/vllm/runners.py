"""What tells the seam of each pass: vLLM's two model runners, each by the hooks that it has.

A pass is described once its batch is laid out, behind `_update_states` of the first runner, and where the second one
asks its model state for inputs: outside of compiled and captured graphs.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from trimtab.integrations.vllm.passes import RunningPass, SteeredRequests, running

_MARK: Final = "trimtab_steered"


def steer_first_runner(runner: type[Any], requests_of: Callable[[Any], SteeredRequests | None]) -> None:
    """Have vLLM's first model runner (`GPUModelRunner`, and with it the CPU's) describe its passes; once only.

    Args:
        runner: the class.
        requests_of: the steered requests of a runner's model; None where it is not armed.
    """
    if hasattr(runner, _MARK):
        return
    update, forward = runner._update_states, runner._model_forward

    def _update_states(self: Any, scheduler_output: Any) -> Any:
        after = update(self, scheduler_output)
        steered = requests_of(self)
        if steered is not None:
            steered.forget(scheduler_output.finished_req_ids)
            for new in scheduler_output.scheduled_new_reqs:
                steered.add(new.req_id, _extra(new), new.prompt_len)
            self.trimtab_scheduled = scheduler_output.num_scheduled_tokens
        return after

    def _model_forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        scheduled: Mapping[str, int] | None = getattr(self, "trimtab_scheduled", None)
        if scheduled is None:  # a pass of no request, by which vLLM measures or warms up
            return forward(self, *args, **kwargs)
        self.trimtab_scheduled = None
        steered = requests_of(self)
        assert steered is not None
        order = [(id, self.requests[id].num_computed_tokens, scheduled[id]) for id in self.input_batch.req_ids]
        with running(steered.begin(order)):
            return forward(self, *args, **kwargs)

    setattr(runner, _MARK, True)
    runner._update_states, runner._model_forward = _update_states, _model_forward


def steered_model_state(base: type[Any], requests: SteeredRequests) -> type[Any]:
    """A model state of vLLM's second model runner that describes its passes.

    Args:
        base: the class that vLLM would take.
        requests: the steered requests of the worker.
    """
    now = RunningPass()

    class SteeredModelState(base):  # type: ignore[misc]
        def add_request(self, req_index: int, new_req_data: Any) -> None:
            requests.add(new_req_data.req_id, _extra(new_req_data), new_req_data.prompt_len)
            super().add_request(req_index, new_req_data)

        def remove_request(self, req_id: str) -> None:
            requests.forget([req_id])
            super().remove_request(req_id)

        def prepare_inputs(self, input_batch: Any, req_states: Any) -> Any:
            computed, scheduled = input_batch.num_computed_tokens_np, input_batch.num_scheduled_tokens
            columns = zip(input_batch.req_ids, computed.tolist(), scheduled.tolist(), strict=True)
            now.begin(requests.begin(list(columns)))
            return super().prepare_inputs(input_batch, req_states)

        def prepare_dummy_inputs(self, num_reqs: int, num_tokens: int) -> Any:
            now.begin(None)
            return super().prepare_dummy_inputs(num_reqs, num_tokens)

    return SteeredModelState


def _extra(new: Any) -> Mapping[str, Any] | None:
    extra: Mapping[str, Any] | None = None if new.sampling_params is None else new.sampling_params.extra_args
    return extra
