#!/bin/sh
# Requests through the running pair, several at once.
# usage: stress.sh [REQUESTS] [AT_ONCE]       (URL, RESOLVE and CACERT may be set in the environment)
set -u
requests=${1:-20000}
at_once=${2:-25}
url=${URL:-https://test.internal-server.local:4433/jsonrpc}
resolve=${RESOLVE:-test.internal-server.local:4433:127.0.0.1}
cacert=${CACERT:-certs/root.crt}
export url resolve cacert

# One request: a line on standard output says how it went.
one='curl --silent --max-time 30 --cacert "$cacert" --resolve "$resolve" "$url" | { IFS= read -r answer || :; case $answer in
  "{\"message\":\"success\"}") echo ok ;; *) echo failed ;; esac; }'

run() {
  if command -v parallel >/dev/null 2>&1; then
    echo "$requests requests, $at_once at once, by GNU parallel" >&2
    seq "$requests" | parallel --will-cite -n 1 -j "$at_once" "$one #"
  else
    echo "$requests requests, $at_once at once, by xargs" >&2
    seq "$requests" | xargs -n 1 -P "$at_once" sh -c "$one"
  fi
}

run | awk -v requests="$requests" '
  function now(  t) { "date +%s" | getline t; close("date +%s"); return t }
  BEGIN { start = now(); step = int(requests / 20); if (step < 1) step = 1 }
  $1 == "ok" { ok++ }
  $1 == "failed" { failed++ }
  (ok + failed) % step == 0 { printf "\r%d of %d", ok + failed, requests > "/dev/stderr" }
  END {
    seconds = now() - start; if (seconds < 1) seconds = 1
    missing = requests - ok - failed
    printf "\n" > "/dev/stderr"
    printf "%d ok, %d failed\n", ok, failed + missing
    printf "%d requests/s\n", requests / seconds
    exit ok == requests ? 0 : 1
  }'
