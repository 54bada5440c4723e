"""Metrics and health of a running server over HTTP; needs the extra ``fluxon[metrics]``."""

from fluxon.endpoint.metrics.figures import Measured
from fluxon.endpoint.metrics.port import MetricsPort

__all__ = ["Measured", "MetricsPort"]
