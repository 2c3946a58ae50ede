"""For those who operate the service: its metrics, in Prometheus' text format."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.deps import KeyDep
from service.metrics import render_metrics
from service.problems import responses
from service.routes.health import in_probe_thread

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "The metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **responses(401, 403, 429, 500, 503),
    },
    summary="Metrics",
)
async def get_metrics(request: Request, _: KeyDep) -> Response:
    """Return the metrics of this server in Prometheus' text format."""
    content = await in_probe_thread(request, render_metrics, request.app.state.corpus)
    return Response(content, media_type=CONTENT_TYPE_LATEST)
