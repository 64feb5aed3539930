"""The HTTP edge: middleware, rate limits, cookies, ETags, problem details, and the HTTP client for other services."""
