# The server in a small image. Pictures are a folder mounted at /photos:
#
#   docker build -t mogr .
#   docker run -p 8080:8080 -v "$PWD/examples/photos:/photos:ro" mogr
#
# With a configuration, give the command: `… mogr serve --config /etc/mogr.toml --listen 0.0.0.0:8080`.

FROM rust:1-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc g++ make cmake nasm pkg-config meson ninja-build perl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The target folder is kept between builds; so the binary is copied out of it.
RUN --mount=type=cache,target=/src/target --mount=type=cache,target=/usr/local/cargo/registry \
    cargo build --release --locked --bin mogr \
    && cp target/release/mogr /usr/local/bin/mogr

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --user-group --no-create-home --shell /usr/sbin/nologin mogr \
    && install -d -o mogr -g mogr /photos /var/lib/mogr
COPY --from=build /usr/local/bin/mogr /usr/local/bin/mogr
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/mogr/
USER mogr
# data_dir and styles.toml are looked for here.
WORKDIR /var/lib/mogr
VOLUME /var/lib/mogr
EXPOSE 8080 8081
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s CMD ["mogr", "health"]
ENTRYPOINT ["mogr"]
# Publish 8081 only to those who may operate the server.
CMD ["serve", "/photos", "--listen", "0.0.0.0:8080", "--api-listen", "0.0.0.0:8081"]
