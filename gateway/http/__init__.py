"""The HTTP edge: middleware, rate limits, cookies, ETags, problem types, error handlers,
and the proxy of /ops.
"""
