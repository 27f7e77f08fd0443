# syntax=docker/dockerfile:1
# One image for every process; docker-compose.yml says which one a container runs.
# It has not been built where it was written, for want of a container engine; tests/test_compose.py
# checks what can be checked without one.

FROM python:3.13.9-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/quell
COPY requirements.txt /tmp/requirements.txt
RUN /opt/quell/bin/pip install --no-input --require-hashes -r /tmp/requirements.txt

FROM python:3.13.9-slim-bookworm
# The number is fixed so that a volume's files keep their owner from image to image.
RUN groupadd --gid 10001 quell \
    && useradd --uid 10001 --gid quell --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin quell \
    && install --directory --owner=quell --group=quell --mode=0755 /var/lib/quell \
    && install --directory --owner=quell --group=quell --mode=0700 /var/lib/quell/evidence
COPY --from=build /opt/quell /opt/quell
WORKDIR /srv/quell
# Package by package: simulator, launcher and tests are no part of production.
COPY manage.py ./
COPY audit/ audit/
COPY cases/ cases/
COPY containment/ containment/
COPY estate/ estate/
COPY identity/ identity/
COPY lib/ lib/
COPY metrics/ metrics/
COPY notify/ notify/
COPY readiness/ readiness/
COPY soc/ soc/
COPY templates/ templates/
ENV PATH=/opt/quell/bin:$PATH \
    DJANGO_SETTINGS_MODULE=soc.settings \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    QUELL_DATA=/var/lib/quell
# Static files are gathered into the image, below QUELL_DATA, so no volume may be mounted over that
# directory itself. The keys of this one command are never used again.
RUN QUELL_SECRET_KEY="$(python -c 'import secrets; print(secrets.token_hex(32))')" \
    QUELL_AUDIT_KEY="$(python -c 'import secrets; print(secrets.token_hex(32))')" \
    python manage.py collectstatic --no-input
USER quell
EXPOSE 8000
CMD ["gunicorn", "soc.wsgi", "--worker-class", "gthread", "--workers", "2", "--threads", "8", "--bind", "0.0.0.0:8000", "--no-control-socket"]
