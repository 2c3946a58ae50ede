"""What a request is called in logs, metrics and traces: few names, and none that tells what was asked."""

from starlette.types import Scope

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def route_of(scope: Scope) -> str:
    """Return the template of the route that was taken, such as `/articles/{article_id}`; never the path itself."""
    return str(getattr(scope.get("route"), "path", "unmatched"))


def method_of(scope: Scope) -> str:
    """Return the method, `other` for those that no route takes: there are few, whatever is sent."""
    return str(scope["method"]) if scope["method"] in _METHODS else "other"
