"""An MCP server with the tools ``twice`` and ``other``, on stdio; it ends at once where its file is missing."""

import json
import sys
from pathlib import Path
from typing import Any


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """The result of a request, or an error."""
    match method:
        case "initialize":
            info = {"name": "twice", "version": "1"}
            version = params["protocolVersion"]
            return {"result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}}
        case "tools/list":
            schema = {"type": "object", "properties": {"text": {"type": "string"}}}
            names = ("twice", "other")
            tools = [{"name": name, "description": "Text twice.", "inputSchema": schema} for name in names]
            return {"result": {"tools": tools}}
        case "tools/call":
            return {"result": {"content": [{"type": "text", "text": params["arguments"]["text"] * 2}]}}
    return {"error": {"code": -32601, "message": "unknown"}}


def main() -> None:
    """Serve stdin until its end."""
    if not Path(sys.argv[1]).exists():
        sys.exit(3)
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            reply = {"jsonrpc": "2.0", "id": request["id"]}
            reply |= answer(request["method"], request.get("params") or {})
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
