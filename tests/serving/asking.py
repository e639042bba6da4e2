"""Asking a server without a network."""

import asyncio
from typing import Any

import httpx2
from tests.serving.conftest import Server


def sent(server: Server, method: str, path: str, scope: str | None = "infer", **options: Any) -> httpx2.Response:
    async def main() -> httpx2.Response:
        async with server.client(scope) as client:
            return await client.request(method, path, **options)

    return asyncio.run(main())


def error(response: httpx2.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["x-request-id"].startswith("req_")
    document = response.json()
    assert set(document) == {"error"}
    assert set(document["error"]) == {"message", "type", "param", "code"}
    assert document["error"]["message"]
    return dict(document["error"])
