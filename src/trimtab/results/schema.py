"""The JSON Schema of `report.json`: `python -m trimtab.results.schema`."""

import json
import sys
from typing import Any

from trimtab.results.report import Report


def schema() -> dict[str, Any]:
    """JSON Schema of what `report.json` holds."""
    return Report.model_json_schema(by_alias=True, mode="serialization")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=1, ensure_ascii=False) + "\n")
