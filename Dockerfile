# Isthmus in one image: producer and consumer, the Kinesis Client Library, and the Java runtime that it needs.
# docs/docker.md explains it.
#
# The base is pinned by its tag. To pin it by content as well, ask for the digest and write it behind the tag, as in
# `python:3.13.12-slim-bookworm@sha256:...`:
#   docker buildx imagetools inspect python:3.13.12-slim-bookworm
ARG BASE=python:3.13.12-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# What others wrote comes first: its layers last until a requirement changes.
COPY requirements/image-build.txt requirements/image.txt requirements/
RUN python -m pip install --require-hashes --no-deps -r requirements/image-build.txt \
    && python -m pip wheel --require-hashes --no-deps --no-build-isolation --wheel-dir /wheels -r requirements/image.txt
COPY pyproject.toml setup.py README.md LICENSE ./
COPY isthmus isthmus
COPY examples examples
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m venv --without-pip /opt/isthmus \
    && python -m pip --python /opt/isthmus install --no-index --no-deps /wheels/*.whl \
    && ln -s /opt/isthmus/lib/python*/site-packages/amazon_kclpy/jars /jars \
    && /opt/isthmus/bin/isthmus --version
# amazon-kclpy fetched its jars by itself, and checked none of them. The SHA-256 of the list of theirs:
ARG KCL_JARS=66e218d6c3575b5fa4e5838bacd98b7e0eeff78001149cbf6599d84cbf8d7bd1
WORKDIR /jars
RUN sha256sum -- __init__.py *.jar > /src/jars \
    && echo "$KCL_JARS  /src/jars" > /src/expected \
    && sha256sum --check /src/expected

FROM ${BASE}
# The distribution keeps only the newest build of a package: a pinned one could not be installed next month.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin isthmus
# The same path as where it was made: a virtual environment cannot move.
COPY --from=build /opt/isthmus /opt/isthmus
ENV PATH=/opt/isthmus/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HEALTH_PORT=9464
# Settings and pipelines are mounted here.
WORKDIR /etc/isthmus
USER 10001:10001
EXPOSE 9464 9465
# Where a producer serves it; a consumer says HEALTH_PORT=9465. No proxy is asked: it is the container's own loopback.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import http.client, os, sys; asked = http.client.HTTPConnection('127.0.0.1', int(os.environ['HEALTH_PORT']), timeout=4); asked.request('GET', '/healthz'); sys.exit(asked.getresponse().status != 200)"]
ENTRYPOINT ["isthmus"]
CMD ["--help"]
