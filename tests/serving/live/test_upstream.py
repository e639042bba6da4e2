"""A release in front of a server that runs the model elsewhere."""

import asyncio
from typing import Any

from tests.serving.engines.vllm_like import answer, lists, vllm_like
from tests.serving.live.conftest import MakeOperated, text_of

from trimtab.serving.engines.upstream import UpstreamEngine, Upstreams


def test_a_release_runs_in_front_of_an_upstream_server_and_is_rolled_back(operate: MakeOperated) -> None:
    with vllm_like(lambda body, _: answer(body, artifact), lists()) as upstream:
        engine = UpstreamEngine(Upstreams([upstream.url]), lambda: frozenset({"additive"}))
        operated = operate(engine)
        artifact = operated.server.registry.find("warm").id
        upstream.lists.update(lists(elsewhere=artifact))

        async def asked(**more: Any) -> dict[str, Any]:
            body = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "user": "ada", **more}
            async with operated.server.client() as client:
                response = await client.post("/v1/chat/completions", json=body)
            assert response.status_code == 200, response.text
            return dict(response.json())

        async def work() -> list[dict[str, Any]]:
            await asyncio.to_thread(operated.release)
            released = await asked()
            operated.releases.act("first", "rollback", by="ada")
            await asyncio.to_thread(operated.seen)
            after = await asked()
            beside = await asked(model="tiny@warm", steering={"compare": True})
            await engine.close()
            return [released, after, beside]

        released, after, beside = asyncio.run(work())
    applied = released["trimtab"]
    assert (text_of(released), applied["arm"], applied["artifact"]) == ("Good day", "treatment", artifact)
    assert (applied["selected"], applied["touched"], applied["edit_size_ratio"]) == (5, None, None)
    assert released["usage"] == {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
    assert (after["trimtab"]["steering"], text_of(after)) == (None, "Good day")
    assert beside["trimtab"]["unsteered"][0]["text"] == "Good day"
    assert [body.get("steering", {}).get("name") for body in upstream.asked[:2]] == ["elsewhere", None]
    exposures = operated.exposures()
    assert [one["artifact"] for one in exposures] == [artifact, None, artifact]
    assert all("edit_size_ratio" not in one for one in exposures)  # which nobody measured
