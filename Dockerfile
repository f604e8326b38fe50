# CI without a registry, or an operator who pins a digest, names another base: --build-arg BASE=…
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv --without-pip /opt/venv
# Dependencies first: a change of the source reuses this layer.
COPY requirements.lock ./
RUN pip --python /opt/venv/bin/python install --require-hashes --no-deps --requirement requirements.lock
COPY pyproject.toml README.md ./
COPY gateway gateway
COPY adapters adapters
RUN pip --python /opt/venv/bin/python install --no-deps .

FROM ${BASE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="sensay-gateway" \
      org.opencontainers.image.description="Sensay replicas on Telegram, Discord, the web and signed webhooks" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# /app/data is /data, so that the default journal (data/gateway.db, seen from /app) lies on the volume.
RUN groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin --no-log-init gateway \
    && install -d /app/config \
    && install -d -o 10001 -g 10001 -m 0750 /data \
    && ln -s /data /app/data
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app
VOLUME /data
EXPOSE 8080 9090
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:9090/livez', timeout=2)"]
ENTRYPOINT ["sensay-gateway"]
CMD ["run"]
