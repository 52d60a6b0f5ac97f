# torchgraft on the CPU, with what constraints.txt pins. README.md has the one `docker run` line.
#
#   BASE_IMAGE   any image with Python 3.11 or later and its venv module
#   TORCH_INDEX  where torch and torchvision come from; empty: the default index, whose torch brings CUDA along
#   pip          a build secret, optional: a pip.conf for a build behind a mirror

ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY . /src
RUN --mount=type=secret,id=pip,target=/run/pip.conf,mode=0444,required=false \
    if [ -f /run/pip.conf ]; then export PIP_CONFIG_FILE=/run/pip.conf; fi \
    && python3 -m venv /opt/torchgraft \
    && /opt/torchgraft/bin/pip install --no-cache-dir --no-compile \
        ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"} --constraint /src/constraints.txt "/src[examples]"

FROM ${BASE_IMAGE}
COPY --from=build /opt/torchgraft /opt/torchgraft
RUN useradd --uid 10001 --no-create-home torchgraft
# A container may run as any user (--user), who then has neither a home nor a name: libraries ask for both.
ENV PATH=/opt/torchgraft/bin:${PATH} HOME=/tmp LOGNAME=torchgraft PYTHONUNBUFFERED=1 TF_CPP_MIN_LOG_LEVEL=2
USER torchgraft
WORKDIR /work
ENTRYPOINT ["torchgraft"]
CMD ["--help"]
