# Two stages: the first has torch and sentence-transformers and prepares the models; the image that ships has neither.
#   docker build -t quoteline .
#   docker run -p 127.0.0.1:8000:8000 -v quoteline:/var/lib/quoteline quoteline

FROM python:3.11-slim-bookworm AS build
# For pip in this stage, as pip itself reads them; the README says how to get torch's CPU build.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off
WORKDIR /build
# The base's pip installs into both environments. It is not in what ships: what is not there cannot be attacked.
COPY requirements-serve.lock ./
# 160 MB that nothing here loads are left out: of OpenVINO what is for Intel's GPUs and NPUs, and for models of other
# kinds than its own; tests of pandas, which Milvus' client wants, and of numpy; what hurries downloads of models.
RUN python -m venv --without-pip /opt/quoteline && \
    pip --python /opt/quoteline/bin/python install -r requirements-serve.lock && \
    cd /opt/quoteline/lib/python3.11/site-packages && \
    find openvino/libs -name 'libopenvino_*_frontend.so.*' ! -name '*_ir_*' -delete && \
    (cd openvino && rm -r include libs/libopenvino_intel_[gn]pu_plugin.so libs/cache.json) && \
    find pandas numpy -type d -name tests -prune -exec rm -rf {} + && \
    rm -r hf_xet hf_xet-*
COPY requirements.lock ./
RUN python -m venv --without-pip /opt/prepare && \
    pip --python /opt/prepare/bin/python install -r requirements.lock
COPY index index
COPY service service
RUN /opt/prepare/bin/python -c "from service.cli import main; main()" prepare --entailment quoteline --models /opt/models
# Our own code goes into a layer of its own, so that a new version of it is all that is built and pulled anew.
COPY pyproject.toml README.md LICENSE ./
RUN pip --python /opt/prepare/bin/python wheel --no-deps --no-build-isolation --wheel-dir wheels . && \
    pip --python /opt/quoteline/bin/python install --no-deps --no-warn-script-location --root /code wheels/*.whl

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="Quoteline" org.opencontainers.image.licenses="Apache-2.0"
# A number for the user, because Kubernetes cannot tell from a name that it is not root.
RUN install -d -o 10001 -g 10001 /var/lib/quoteline && \
    groupadd --gid 10001 quoteline && \
    useradd --uid 10001 --gid 10001 --home-dir /var/lib/quoteline --shell /usr/sbin/nologin quoteline
COPY --from=build /opt/quoteline /opt/quoteline
COPY --from=build /opt/models /opt/models
COPY --from=build /code /
COPY seeds/*.txt /opt/seeds/
ENV PATH=/opt/quoteline/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    QUOTELINE_DATA=/var/lib/quoteline \
    QUOTELINE_MODELS=/opt/models \
    QUOTELINE_HOST=0.0.0.0 \
    QUOTELINE_OPEN=ask \
    QUOTELINE_PORT=8000
USER 10001:10001
VOLUME /var/lib/quoteline
# From outside the container everybody has an address of another machine: they may ask, and with a key of the scope
# `manage` change articles; QUOTELINE_OPEN=no lets nobody in without a key.
EXPOSE 8000
# Python ends on SIGINT from its first moment, also while the articles are still being added.
STOPSIGNAL SIGINT
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD python -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$QUOTELINE_PORT/readyz', timeout=2)"
# The seeds are an example: give a folder of your own, mounted into the container, in their place.
CMD ["quoteline", "serve", "/opt/seeds"]
