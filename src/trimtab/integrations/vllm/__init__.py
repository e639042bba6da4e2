"""vLLM, steered: a plug-in without a fork. Nothing here imports vLLM until vLLM itself has asked for it.

`plugin` is what vLLM finds by entry point. In the process that takes requests, `offer` says which steerings there are
and what a request means, `requests` adds that and the cache salt to what the engine is sent, and `answers` writes it
into answers. In the workers, `seam` puts one operation behind the modules that steerings name, `passes` says which
tokens of a pass it edits, and `runners` tells it when a pass begins.
"""
