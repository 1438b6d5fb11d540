"""Calls within one machine go there directly, also where a proxy is set for everything."""

from __future__ import annotations

from collections.abc import Mapping

VARIABLE = "no_grpc_proxy"
_HERE = ("localhost", "127.0.0.1", "::1")


def not_proxied(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that keeps gRPC from asking a proxy for this machine.

    Nodes of clusters often have ``http_proxy`` set, and gRPC obeys it for ``localhost`` too.

    Example:
        >>> not_proxied({"no_proxy": "intranet"})
        {'no_grpc_proxy': 'intranet,localhost,127.0.0.1,::1'}
    """
    told = environment.get(VARIABLE) or environment.get("no_proxy") or ""
    names = [name for name in told.split(",") if name]
    return {VARIABLE: ",".join([*names, *(name for name in _HERE if name not in names)])}
