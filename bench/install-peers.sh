#!/bin/sh
# Builds or installs the peers of `make bench` into bench/.peers, as far as this machine can; says what could not be had.
# haproxy, nginx and sshd come from the system's packages, which only root can install.
set -u
cd "$(dirname "$0")"
mkdir -p .peers/bin
bin=$PWD/.peers/bin
missing=""

note() { missing="$missing $1"; }
here() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "$bin/$1" ]; }

if ! here haproxy || ! here nginx || ! here sshd || [ ! -e /usr/lib/nginx/modules/ngx_stream_module.so ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    # RUNLEVEL=1: installed, but not started as services.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      haproxy nginx libnginx-mod-stream openssh-server openssh-client || true
  fi
fi
# Debian's sshd wants this directory, which its service would make.
[ "$(id -u)" = 0 ] && here sshd && mkdir -p /run/sshd

# Without its default features: they pull in TLS and noise, which a tunnel of TLS does not want. Not --locked: one of the
# packages that its lock file names no longer compiles.
if ! here rathole && command -v cargo >/dev/null 2>&1; then
  cargo install rathole --version 0.5.0 --root .peers --no-default-features --features server,client
fi

# In a module of their own, because frp replaces a package, which `go install` refuses.
if { ! here chisel || ! here frps || ! here frpc; } && command -v go >/dev/null 2>&1; then
  mkdir -p .peers/go
  cat > .peers/go/go.mod <<'MOD'
module peers

go 1.23

require (
	github.com/fatedier/frp v0.61.1
	github.com/jpillora/chisel v1.10.1
)

replace github.com/hashicorp/yamux => github.com/fatedier/yamux v0.0.0-20230628132301-7aca4898904d
MOD
  for program in github.com/jpillora/chisel github.com/fatedier/frp/cmd/frps github.com/fatedier/frp/cmd/frpc; do
    here "$(basename "$program")" || (cd .peers/go && GOFLAGS=-mod=mod go build -o "$bin/" "$program")
  done
fi

for program in haproxy nginx sshd rathole chisel frps frpc; do here "$program" || note "$program"; done
if [ -n "$missing" ]; then echo "not to be had here:$missing"; else echo "all peers are here"; fi
