# One image for every process; docker-compose.yml says which command each container runs.

FROM python:3.11-slim AS packages
COPY requirements.lock /
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /requirements.lock

FROM python:3.11-slim
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PRODWORTHY_VAR=/data \
    PRODWORTHY_STATIC=/app/staticfiles
# Prompts are kept in git; ssh is one way to a repository elsewhere.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git openssh-client \
 && rm -rf /var/lib/apt/lists/*
COPY --from=packages /venv /venv
WORKDIR /app
COPY manage.py pyproject.toml LICENSE ./
COPY llmops_site llmops_site
COPY apps apps
COPY static static
COPY templates templates
# The static files are collected with secrets that are made for this one step and do not stay in the image.
# New volumes take over the owner of the directories they are mounted on.
RUN PRODWORTHY_VAR=/build python manage.py prepare --static-only \
 && rm -rf /build \
 && python -m compileall -q apps llmops_site \
 && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin prodworthy \
 && mkdir -p /data/secrets /data/broker /data/run /data/mail \
 && chown -R prodworthy: /data \
 && chmod 700 /data/secrets /data/run
USER prodworthy
EXPOSE 8000
VOLUME ["/data"]
# Alone, the container runs everything on embedded servers: docker run -p 127.0.0.1:8000:8000 prodworthy
CMD ["python", "manage.py", "up", "--host", "0.0.0.0"]
