# docker build -t whyact .
# mkdir -p runs && chmod a+rwx runs      # which Docker would make as root, and the image's user not write
# docker run --rm --ipc=host -v "$PWD/runs:/work/runs" whyact demo
# Configs are in /opt/whyact/configs; mount data as runs: -v "$PWD/data:/work/data"
# As a Singularity/Apptainer image: apptainer build whyact.sif docker-daemon://whyact:latest
FROM python:3.11-slim

WORKDIR /opt/whyact
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY src src
COPY configs configs
RUN pip install --no-cache-dir -c requirements.lock '.[efficientnet]'

RUN useradd --create-home whyact && mkdir /work && chown whyact /work
USER whyact
WORKDIR /work
ENTRYPOINT ["whyact"]
CMD ["--help"]
