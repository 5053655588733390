# docker build -t emotiongan . && docker run --rm -v "$PWD/demo_output:/app/demo_output" emotiongan
FROM python:3.11-slim
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*
WORKDIR /app
# the packages in a layer of their own; this index's PyTorch is for CPUs and a tenth of the size
COPY Makefile requirements.txt ./
ENV PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu PIP_NO_CACHE_DIR=1
RUN make .venv/ready
COPY . .
CMD ["make", "demo"]
