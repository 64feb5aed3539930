"""The HTTP edge: middleware, rate limits, cookies, ETags, problem details, and HTTP clients of other services."""
