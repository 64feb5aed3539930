"""What the routes of the export need."""

from typing import Protocol

from gateway.auth.dependencies import AuthDependencies
from gateway.export.data_export import DataExport
from gateway.http.rate_limit import RateLimiter


class ExportDependencies(AuthDependencies, Protocol):
    exports: DataExport
    rate_limiter: RateLimiter
