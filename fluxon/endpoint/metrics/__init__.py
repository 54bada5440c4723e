"""Metrics and health of a running server over HTTP; needs the extra ``fluxon[metrics]``."""

from fluxon.endpoint.metrics.collector import ServerCollector
from fluxon.endpoint.metrics.site import MetricsSite

__all__ = ["MetricsSite", "ServerCollector"]
