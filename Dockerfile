# One image per service, which holds the code and the libraries that its program imports, and no others:
# docker build --build-arg SERVICE=order_svc .
# SERVICE is a service, `gateway` or `operations`; for the operator add `--target operator`.
# Releases pin the base by digest: PYTHON_IMAGE=python:3.13-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS environment
WORKDIR /build
RUN python -m venv --without-pip /venv
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_REQUIRE_HASHES=1

FROM environment AS operator-build
COPY requirements/images/operator.txt requirements.txt
RUN pip --python /venv/bin/python install -r requirements.txt
COPY . checkout
RUN python checkout/tools/program_code.py checkout /app journey.admin.broker.topology_controller 'journey.admin.*.__main__' \
 && python -m compileall -q --invalidation-mode unchecked-hash /app
# A folder for each service's volume of credentials, and one for the service token's.
RUN mkdir /service_credentials /service_credentials/service_token \
 && cd /service_credentials && mkdir $(python -c "import json; print(*json.load(open('/app/journey/admin/database/users.json')).keys() - {'operator'})")

# Most packages are in every image of a service: one installation serves all builds.
FROM environment AS shared
COPY requirements/images/shared.txt shared.txt
RUN pip --python /venv/bin/python install -r shared.txt

FROM shared AS service-build
ARG SERVICE
COPY requirements/images/${SERVICE}.txt requirements.txt
RUN pip --python /venv/bin/python install -r requirements.txt
COPY . checkout
RUN python checkout/tools/program_code.py checkout /app ${SERVICE}.__main__ chassis.healthcheck \
 && python -m compileall -q --invalidation-mode unchecked-hash /app

FROM ${PYTHON_IMAGE} AS base
# Docker gives new volumes the owner of these folders.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin journey \
 && install -d -o journey /credentials /operator /service_token
ARG PYTHON_IMAGE
ARG SERVICE
ARG VERSION=0.2.0.dev0
ARG REVISION
LABEL org.opencontainers.image.title="${SERVICE}" \
    org.opencontainers.image.description="Order Journey: ${SERVICE}" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.base.name="${PYTHON_IMAGE}"
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 SERVICE_VERSION=${VERSION}
WORKDIR /app
USER 10001

FROM base AS operator
COPY --from=operator-build /venv /venv
COPY --from=operator-build /app /app
COPY --from=operator-build --chown=journey /service_credentials /service_credentials
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --start-interval=1s \
    CMD ["python", "-S", "-c", "import os; os.stat('/tmp/topology-applied')"]
CMD ["python", "-m", "journey.admin.broker.topology_controller"]

FROM base AS service
COPY --from=service-build /venv /venv
COPY --from=service-build /app /app
ENV HTTP_HOST=0.0.0.0 HTTP_PORT=8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --start-interval=2s --retries=6 \
    CMD ["python", "-S", "-m", "chassis.healthcheck"]
CMD ["python", "/app"]
