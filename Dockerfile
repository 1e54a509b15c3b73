# One image for each capability: docker build --build-arg SERVICE=asr --tag antiphon-asr .
# Packages come from the hashed locks; nothing is compiled, and the final image has no build tools.

ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /build
RUN python -m venv /opt/antiphon
COPY requirements/serve.txt requirements/build.txt requirements/
RUN /opt/antiphon/bin/pip install --require-hashes --requirement requirements/serve.txt \
 && python -m pip install --require-hashes --requirement requirements/build.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY antiphon antiphon
COPY services services
COPY skills skills
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && /opt/antiphon/bin/pip install --no-deps dist/*.whl

FROM python:${PYTHON}-slim
ARG SERVICE
RUN test -n "${SERVICE}" || { echo "name the capability: --build-arg SERVICE=asr" >&2; exit 1; } \
 && useradd --uid 10001 --create-home --home-dir /home/antiphon antiphon
COPY --from=builder /opt/antiphon /opt/antiphon
# The root file system may be read-only: Ray, session files and sockets go to /tmp, which a pod mounts as an emptyDir.
ENV PATH=/opt/antiphon/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SERVICE=${SERVICE}
LABEL org.opencontainers.image.title="antiphon-${SERVICE}" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /home/antiphon
USER 10001:10001
VOLUME /tmp
EXPOSE 9000
# exec, so that the platform is process 1 and gets the signal that starts draining.
ENTRYPOINT ["/bin/sh", "-c", "exec antiphon up --services \"${SERVICE}\" --foreground \"$@\"", "antiphon"]
