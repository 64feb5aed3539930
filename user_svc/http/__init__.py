"""The HTTP interface of user_svc: routes, request bodies, views and error responses."""
