# Two stages: the first has torch and sentence-transformers and prepares the encoder; the image that ships has neither.
#   docker build -t quoteline .
#   docker run -p 127.0.0.1:8000:8000 -v quoteline:/var/lib/quoteline quoteline

FROM python:3.11-slim-bookworm AS build
# For pip in this stage, as pip itself reads them; the README says how to get torch's CPU build.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off
WORKDIR /build
COPY requirements.lock requirements-serve.lock ./
RUN python -m venv /opt/quoteline && /opt/quoteline/bin/pip install -r requirements-serve.lock
RUN python -m venv /opt/prepare && /opt/prepare/bin/pip install -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY index index
COPY service service
RUN /opt/prepare/bin/pip wheel --no-deps --no-build-isolation --wheel-dir wheels .
RUN /opt/prepare/bin/pip install --no-deps wheels/*.whl && /opt/prepare/bin/quoteline prepare --models /opt/models
# pip itself is not needed to serve, and what is not there cannot be attacked.
RUN /opt/quoteline/bin/pip install --no-deps wheels/*.whl && /opt/quoteline/bin/python -m compileall -q /opt/quoteline && \
    /opt/quoteline/bin/pip uninstall -y -q pip setuptools

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="Quoteline" org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --home-dir /var/lib/quoteline --create-home quoteline
COPY --from=build /opt/quoteline /opt/quoteline
COPY --from=build /opt/models /opt/models
COPY seeds/*.txt /opt/seeds/
ENV PATH=/opt/quoteline/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    QUOTELINE_DATA=/var/lib/quoteline \
    QUOTELINE_MODELS=/opt/models \
    QUOTELINE_HOST=0.0.0.0
USER quoteline
VOLUME /var/lib/quoteline
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
# The seeds are an example: give a folder of your own, mounted into the container, in their place.
CMD ["quoteline", "serve", "/opt/seeds"]
