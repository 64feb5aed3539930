# One image per service: docker build --build-arg SERVICE=order_svc .
# The `operator` target contains the code of all services, because the topology is derived from the messages they handle.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS dependencies
COPY requirements/services.txt /tmp/services.txt
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /tmp/services.txt

FROM ${PYTHON_IMAGE} AS base
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin journey \
 && mkdir /credentials /operator && chown journey /credentials /operator
COPY --from=dependencies /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# The health check runs every few seconds in every container while all of them start: starting Python each time is slow.
RUN printf '%s\n' '#!/bin/bash' \
    'exec 3<>/dev/tcp/127.0.0.1/8080 && printf "GET /readyz HTTP/1.0\r\n\r\n" >&3' \
    'read -r _ status _ <&3 && [ "$status" = 200 ]' >/usr/local/bin/ready && chmod 755 /usr/local/bin/ready
WORKDIR /app
COPY contracts contracts
COPY chassis chassis
USER 10001

FROM base AS operator
# services
COPY inventory_svc inventory_svc
COPY notification_svc notification_svc
COPY order_svc order_svc
COPY payment_svc payment_svc
COPY product_svc product_svc
COPY user_svc user_svc
# /services
COPY gateway gateway
COPY journey/__init__.py journey/client.py journey/
COPY journey/admin journey/admin
CMD ["python", "-m", "journey.admin.broker.topology_controller"]

FROM operator AS operations
COPY operations operations
ENV HTTP_HOST=0.0.0.0 HTTP_PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --start-interval=2s --retries=6 CMD ["ready"]
CMD ["python", "-m", "operations"]

FROM base AS service
ARG SERVICE
ENV SERVICE=${SERVICE} HTTP_HOST=0.0.0.0 HTTP_PORT=8080
COPY ${SERVICE} ${SERVICE}
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --start-interval=2s --retries=6 CMD ["ready"]
CMD ["sh", "-c", "exec python -m ${SERVICE}"]
