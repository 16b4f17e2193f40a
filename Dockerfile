# Two images on one base: `service` answers over HTTP (the default), `training` makes the model it answers with.
#
#   docker build --tag hamlet --build-arg VERSION=0.1.0 .
#   docker build --tag hamlet-training --target training .
#   docker run --read-only --volume "$PWD/mail:/mail:ro" --volume hamlet:/var/lib/hamlet hamlet-training \
#       fit --preset default --data /mail --out /var/lib/hamlet/runs/default
#
# In both, /var/lib/hamlet-models has the bundled version too: a new volume that is mounted there starts with it.

FROM python:3.11-slim-bookworm AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/var/lib/hamlet \
    TMPDIR=/var/lib/hamlet
# A number, so that an orchestrator can see that it is not root. Its home is the volume, and
# holds temporary files too: nothing else can be written to when the root is read-only.
RUN useradd --uid 10001 --user-group --home-dir /var/lib/hamlet --create-home --skel /dev/null --shell /usr/sbin/nologin hamlet
WORKDIR /app

# Dependencies change less often than the code, so they come first and from the project's metadata alone.
FROM base AS dependencies
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_CONSTRAINT=/app/constraints.txt
RUN python -m venv /opt/venv
COPY constraints.txt torch-cpu.txt ./
# torch's headers and its own test programs are 190 MB that nothing here runs.
RUN pip install --no-deps --retries 1 --timeout 15 -r torch-cpu.txt \
    && cd /opt/venv/lib/python3.*/site-packages/torch \
    && rm -rf include test share \
    && find bin -type f ! -name torch_shm_manager -delete
COPY pyproject.toml LICENSE ./
RUN pip install '.[classifier]' \
    && find /opt/venv -path '*/sympy/*' -type d -name tests -prune -exec rm -rf {} +

FROM dependencies AS training-dependencies
RUN pip install '.[training,object-store]' && pip uninstall --yes pip setuptools

FROM dependencies AS service-dependencies
RUN pip install '.[service,object-store,postgres]' && pip uninstall --yes pip setuptools


FROM base AS training
ARG VERSION=unversioned
LABEL org.opencontainers.image.title="hamlet-training" \
    org.opencontainers.image.description="Trains the spam classifier that Hamlet serves" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="$VERSION"
COPY --from=training-dependencies /opt/venv /opt/venv
COPY LICENSE pyproject.toml ./
COPY models models
COPY classifier classifier
COPY training training
RUN python -m compileall -q classifier training \
    && cp -r models /var/lib/hamlet-models && chown -R 10001:10001 /var/lib/hamlet-models
USER 10001:10001
VOLUME /var/lib/hamlet
ENTRYPOINT ["python", "-m", "training"]
CMD ["--help"]


FROM base AS service
ARG VERSION=unversioned
LABEL org.opencontainers.image.title="hamlet" \
    org.opencontainers.image.description="Spam detection: emails in, verdicts out, over HTTP" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="$VERSION"
COPY --from=service-dependencies /opt/venv /opt/venv
COPY LICENSE pyproject.toml ./
COPY models models
COPY classifier classifier
COPY service service
# Compiled here, since the running container may write to its volume alone.
RUN python -m compileall -q classifier service \
    && cp -r models /var/lib/hamlet-models && chown -R 10001:10001 /var/lib/hamlet-models
# Feedback goes to the volume, unless a PostgreSQL is named.
ENV HAMLET_HOST=0.0.0.0 \
    HAMLET_PORT=8000 \
    HAMLET_DATABASE_URL=sqlite:////var/lib/hamlet/feedback.db
USER 10001:10001
VOLUME /var/lib/hamlet
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['HAMLET_PORT']), timeout=4); c.request('GET', '/health/ready'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["python", "-m", "service"]
